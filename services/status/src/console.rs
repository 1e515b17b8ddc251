//! What status, lists and page are made of.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use metrifold_exporter::{ExporterSettings, merge_options};
use metrifold_merge::{Merger, View};
use metrifold_model::Namespace;
use metrifold_session::ShardSnapshot;
use parking_lot::Mutex;

use crate::observed::Observed;

/// Time for which a merged view is good enough for lists: conflicts and costs of families change slowly.
const SURVEY_INTERVAL: Duration = Duration::from_secs(5);
/// Time after which a namespace that nobody looks at is no longer kept merged.
const SURVEY_LIFETIME: Duration = Duration::from_secs(300);

/// What a server says of itself.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `serve`, `agent`, `collector` or `exporter`.
    pub role: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// Whether it takes pushes over gRPC.
    pub takes_pushes: bool,
    /// Whether it serves `/metrics`.
    pub shows_view: bool,
    /// `embedded` or `redis`.
    pub store: &'static str,
    /// Where a Redis store is, without secrets; the data directory of an embedded one.
    pub store_address: Option<String>,
}

/// The state behind `/`, `/api/v1/…` and `/sd`. It reads nothing itself: all comes from [`Observed`].
pub struct Console {
    pub(crate) identity: Identity,
    pub(crate) settings: ExporterSettings,
    pub(crate) observed: Arc<Observed>,
    pub(crate) started: Instant,
    surveys: Mutex<HashMap<Namespace, Arc<Mutex<Survey>>>>,
}

/// A namespace merged for lists, and since when that is so.
#[derive(Default)]
struct Survey {
    merger: Merger,
    made: Option<(Instant, Arc<View>)>,
    asked: Option<Instant>,
}

impl Console {
    /// Shows what `observed` has seen.
    pub fn new(identity: Identity, settings: ExporterSettings, observed: Arc<Observed>) -> Arc<Console> {
        Arc::new(Console { identity, settings, observed, started: Instant::now(), surveys: Mutex::default() })
    }

    /// The view of a namespace as it was at most a few seconds ago, and as it is now if there was nothing in it: whoever waits
    /// for the first values looks for them. Takes processor time: for a blocking thread.
    pub(crate) fn survey(&self, namespace: &Namespace, shards: &[Arc<ShardSnapshot>]) -> Arc<View> {
        let now = Instant::now();
        let survey = self.survey_of(namespace, now);
        let mut survey = survey.lock();
        if let Some((made, view)) = &survey.made
            && now.saturating_duration_since(*made) < SURVEY_INTERVAL
            && !view.families.is_empty()
        {
            return view.clone();
        }
        let view = Arc::new(survey.merger.merge(shards));
        survey.made = Some((Instant::now(), view.clone()));
        view
    }

    fn survey_of(&self, namespace: &Namespace, now: Instant) -> Arc<Mutex<Survey>> {
        let mut surveys = self.surveys.lock();
        // One that is being made is in use, whenever it was asked for.
        surveys.retain(|_, survey| {
            let asked = survey.try_lock().map(|survey| survey.asked);
            asked.is_none_or(|asked| {
                asked.is_none_or(|asked| now.saturating_duration_since(asked) < SURVEY_LIFETIME)
            })
        });
        let survey = surveys.entry(namespace.clone()).or_insert_with(|| {
            let merger = Merger::new(merge_options(&self.settings));
            Arc::new(Mutex::new(Survey { merger, ..Survey::default() }))
        });
        if let Some(mut unused) = survey.try_lock() {
            unused.asked = Some(now);
        }
        survey.clone()
    }
}
