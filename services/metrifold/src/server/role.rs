//! What each role does.

use super::ServerError;
use crate::config::Settings;

/// What a server process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Everything in one process.
    Serve,
    /// This host's segments, shown and pushed on.
    Agent,
    /// Ingest, liveness, fold.
    Collector,
    /// The merged view.
    Exporter,
}

impl Role {
    /// The command that starts it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Role::Serve => "serve",
            Role::Agent => "agent",
            Role::Collector => "collector",
            Role::Exporter => "exporter",
        }
    }

    /// Holds the segments of this host.
    pub(super) fn watches_segments(self) -> bool {
        matches!(self, Role::Serve | Role::Agent)
    }

    /// Takes pushes over gRPC.
    pub(super) fn takes_pushes(self) -> bool {
        matches!(self, Role::Serve | Role::Collector)
    }

    /// Serves `/metrics`.
    pub(super) fn shows_view(self) -> bool {
        self != Role::Collector
    }

    /// Refuses a role that could not do anything useful with these settings.
    pub(super) fn check(self, settings: &Settings) -> Result<(), ServerError> {
        match self {
            Role::Agent if settings.upstream.target.is_none() => Err(ServerError::Missing(
                "an agent pushes on to somewhere: set upstream.target (--to URL), or use `metrifold serve`",
            )),
            Role::Agent if settings.redis.url.is_some() => Err(ServerError::Missing(
                "an agent has a store of its own and pushes on to Redis with --to redis://…; leave redis.url out, or \
                 use `metrifold serve`",
            )),
            Role::Collector | Role::Exporter if settings.redis.url.is_none() => Err(ServerError::Missing(
                "collectors and exporters meet in Redis: set redis.url (--redis-url URL), or use `metrifold serve`",
            )),
            _ => Ok(()),
        }
    }
}
