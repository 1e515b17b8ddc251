//! Room for the descriptors of many segments.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files that an agent asks for: a segment takes three or four (its reader's, and one per target), and a
/// listener's connections come on top. More would only enlarge tables that nobody fills.
const OPEN_FILES_MAX: u64 = 65_536;

/// Raises the soft limit of open files as far as the hard one allows, up to [`OPEN_FILES_MAX`]; never lowers it. The
/// usual soft limit of 1,024 is too low for a few hundred workers.
pub(super) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = wanted(limit);
    if wanted == limit.current {
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: wanted, maximum: limit.maximum }) {
        Ok(()) => tracing::debug!(from = ?limit.current, to = ?wanted, "raised the limit of open files"),
        Err(error) => {
            tracing::warn!(%error, soft_limit = ?limit.current, "cannot raise the limit of open files");
        }
    }
}

/// The soft limit to set; `None` is no limit.
fn wanted(Rlimit { current, maximum }: Rlimit) -> Option<u64> {
    let reachable = maximum.map_or(OPEN_FILES_MAX, |maximum| maximum.min(OPEN_FILES_MAX));
    current.map(|current| current.max(reachable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_within_the_hard_one_and_never_lowered() {
        let wanted = |current, maximum| wanted(Rlimit { current, maximum });
        assert_eq!(wanted(Some(1_024), Some(4_096)), Some(4_096));
        assert_eq!(wanted(Some(1_024), Some(1 << 30)), Some(OPEN_FILES_MAX));
        assert_eq!(wanted(Some(1_024), None), Some(OPEN_FILES_MAX));
        assert_eq!(wanted(Some(1 << 20), Some(1 << 20)), Some(1 << 20));
        assert_eq!(wanted(None, None), None);
    }

    #[test]
    fn this_process_can_raise_its_own_limit() {
        raise_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, wanted(limit));
    }
}
