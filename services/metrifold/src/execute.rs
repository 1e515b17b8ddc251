//! One command from start to exit status.

use std::{fmt::Display, future::Future, process::ExitCode};

use metrifold_admin::{AdminError, AdminSettings, Choice};
use metrifold_demo as demo;
use metrifold_gate::Gate;
use metrifold_telemetry::{LogControl, LogSettings, TraceSettings, Traces, start_logs};

use crate::{
    cli::{AdminArguments, Cli, Command, RetireArguments, ServerArguments},
    complain,
    config::{Loaded, load},
    detach, say,
    server::{self, ReloadInputs, Role, redis_settings},
};

/// Where a server in the background logs to if no file is given: nowhere.
const NO_LOG: &str = "/dev/null";

/// Carries out a command. Exit status 0: done; 1: failed, with the reason on stderr.
pub fn execute(cli: Cli) -> ExitCode {
    let outcome = match &cli.command {
        Command::Serve(arguments) => serve(Role::Serve, arguments),
        Command::Agent(arguments) => serve(Role::Agent, arguments),
        Command::Collector(arguments) => serve(Role::Collector, arguments),
        Command::Exporter(arguments) => serve(Role::Exporter, arguments),
        Command::Demo(settings) => in_runtime(demo::run(settings)).map(|is_exact| match is_exact {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }),
        Command::Workers(store) => administer(store, metrifold_admin::workers),
        Command::Retire(arguments) => administer(&arguments.store, |settings| {
            let RetireArguments { sources, host, silent_for, .. } = arguments.clone();
            let choice = Choice { sources, host, silent_for };
            async move { metrifold_admin::retire(settings, &choice).await }
        }),
        Command::Wipe(arguments) => administer(&arguments.store, |settings| {
            metrifold_admin::wipe(settings, arguments.yes, arguments.forget)
        }),
        Command::CheckConfig(arguments) => check_config(arguments),
        Command::Health(arguments) => in_runtime(metrifold_admin::ask(&arguments.question())).map(succeed),
        Command::DemoWorker(arguments) => demo::work(arguments).map(|()| ExitCode::SUCCESS).map_err(text),
    };
    outcome.unwrap_or_else(|reason| {
        complain(&format!("metrifold: {reason}"));
        ExitCode::FAILURE
    })
}

fn text(error: impl Display) -> String {
    error.to_string()
}

fn in_runtime<T, E: Display>(work: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(text)?;
    let outcome = runtime.block_on(work).map_err(text);
    // Whatever still runs has had its deadline.
    runtime.shutdown_background();
    outcome
}

/// Prints what a command has to say.
fn succeed(text: String) -> ExitCode {
    say(text.trim_end());
    ExitCode::SUCCESS
}

fn administer<W>(store: &AdminArguments, work: impl FnOnce(AdminSettings) -> W) -> Result<ExitCode, String>
where
    W: Future<Output = Result<String, AdminError>>,
{
    let Loaded { settings, notices, .. } = load(&store.inputs()).map_err(text)?;
    notices.iter().for_each(|notice| complain(&format!("note: {notice}")));
    let address = settings.redis.url.as_ref().ok_or(AdminError::NoRedis).map_err(text)?;
    let admin = AdminSettings {
        redis: redis_settings(address, &settings),
        namespace: settings.redis.namespace.clone(),
        ttl: settings.ttl(),
        settle: settings.settle(),
        restore_grace: settings.store.restore_grace,
        archive: settings.archive_policy(),
    };
    in_runtime(work(admin)).map(succeed)
}

fn check_config(arguments: &ServerArguments) -> Result<ExitCode, String> {
    let loaded = load(&arguments.inputs()).map_err(text)?;
    let rules = Gate::check(&loaded.settings.web.source()).map_err(text)?;
    say(loaded.show().trim_end());
    say(&format!("# the listener: {rules}"));
    loaded.notices.iter().for_each(|notice| complain(&format!("note: {notice}")));
    Ok(ExitCode::SUCCESS)
}

fn serve(role: Role, arguments: &ServerArguments) -> Result<ExitCode, String> {
    if arguments.detach {
        return detach::start_in_background()
            .map_err(|cause| format!("cannot start in the background: {cause}"));
    }
    if arguments.detached {
        detach::leave_session().map_err(text)?;
    }
    let inputs = arguments.inputs();
    let loaded = load(&inputs).map_err(text)?;
    let mut settings = loaded.settings.clone();
    if arguments.detached {
        settings.log.file.get_or_insert_with(|| NO_LOG.into());
    }
    let traces = TraceSettings::read(&inputs.environment.iter().cloned().collect()).map_err(text)?;
    in_runtime(observed(settings.log.clone(), traces, async |logs| {
        loaded.notices.iter().for_each(|notice| tracing::warn!("{notice}"));
        if !loaded.service_links.is_empty() {
            tracing::debug!(
                variables = loaded.service_links.join(" "),
                "service links of Kubernetes are ignored"
            );
        }
        let has_log_file = settings.log.file.is_some();
        let reload = ReloadInputs { inputs, loaded, logs };
        server::run(role, settings, reload).await.map_err(text).inspect_err(|error| {
            // On stderr the reason stands already.
            if has_log_file {
                tracing::error!("{error}");
            }
        })
    }))
    .map(|()| ExitCode::SUCCESS)
}

/// Does `work` with logs and, if they are wanted, traces, whose last spans are sent before it returns.
async fn observed(
    logs: LogSettings,
    traces: Option<TraceSettings>,
    work: impl AsyncFnOnce(LogControl) -> Result<(), String>,
) -> Result<(), String> {
    let traces = traces.as_ref().map(Traces::start).transpose().map_err(text)?;
    let control = start_logs(&logs, traces.as_ref()).map_err(text)?;
    let outcome = work(control).await;
    if let Some(traces) = traces {
        traces.end().await;
    }
    outcome
}
