//! From flags, environment and file to typed settings.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use config::{Config, ConfigError, Map, Source, Value, ValueKind};
use xxhash_rust::xxh3::xxh3_64;

use super::{ConfigErrors, ConfigProblem, Layer, Settings, environment, file, guide, keys, suggest::nearest};

/// Everything that settings are read from. Not printable: it holds secrets.
#[derive(Clone, Default)]
pub struct Inputs {
    /// The configuration file, TOML or YAML by its extension.
    pub file: Option<PathBuf>,
    /// The environment variables.
    pub environment: Vec<(String, String)>,
    /// The flags.
    pub flags: Layer,
}

/// What was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The effective settings.
    pub settings: Settings,
    /// Variables that were seen and do nothing, with the reason: to be logged as warnings.
    pub notices: Vec<String>,
    /// Variables that Kubernetes sets for a Service, which are ignored.
    pub service_links: Vec<String>,
    origins: BTreeMap<String, String>,
    /// By key, a digest of what was given: also secrets that change are seen, and none is kept.
    given: BTreeMap<String, u64>,
}

/// Settings that may change while a server runs; all others take a restart.
const RELOADABLE: [&str; 2] = ["web.", "log.level"];

impl Loaded {
    /// The settings that `later` has otherwise and that only a restart can change.
    pub fn changed_for_good(&self, later: &Loaded) -> Vec<&'static str> {
        let is_reloadable = |key: &keys::Key| RELOADABLE.iter().any(|start| key.name.starts_with(start));
        let differs = |key: &keys::Key| {
            (key.show)(&self.settings) != (key.show)(&later.settings)
                || (key.show)(&self.settings).contains("***")
                    && self.given.get(key.name) != later.given.get(key.name)
        };
        let changed = keys::ALL.iter().filter(|key| !is_reloadable(key) && differs(key));
        changed.map(|key| key.name).collect()
    }

    /// All effective settings, one `key = value` per line, with where each came from; secrets hidden.
    pub fn show(&self) -> String {
        let line = |key: &keys::Key| {
            let origin = self.origins.get(key.name).map_or("default", String::as_str);
            format!("{} = {}  # {origin}\n", key.name, (key.show)(&self.settings))
        };
        keys::ALL.iter().map(line).collect()
    }
}

/// Reads, checks and merges all inputs.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(inputs: &Inputs) -> Result<Loaded, ConfigErrors> {
    let mut problems = Vec::new();
    let mut from_file = settings_of(inputs.file.as_deref(), &mut problems);
    let variables = [guide::take(&mut from_file), inputs.environment.clone()].concat();
    let environment = environment::read(&variables);
    problems.extend(environment.problems);
    let file_name = inputs.file.as_ref().map(|path| path.display().to_string());
    let given = merged(from_file, environment.layer, inputs.flags.clone(), &mut problems);
    let mut settings = Settings::default();
    let mut origins = BTreeMap::new();
    for (key, value) in &given {
        let origin = value.origin().map_or_else(|| file_name.clone().unwrap_or_default(), str::to_owned);
        match apply(&mut settings, key, value, &origin) {
            Ok(()) => drop(origins.insert(key.clone(), origin)),
            Err(problem) => problems.push(problem),
        }
    }
    problems.extend(settings.complete());
    let digest = |(key, value): (String, Value)| (key, xxh3_64(value.to_string().as_bytes()));
    let given = given.into_iter().map(digest).collect();
    match problems.is_empty() {
        true => Ok(Loaded {
            settings,
            notices: environment.notices,
            service_links: environment.service_links,
            origins,
            given,
        }),
        false => Err(ConfigErrors(problems)),
    }
}

/// What a file says, by dotted names.
fn settings_of(path: Option<&Path>, problems: &mut Vec<ConfigProblem>) -> Vec<(String, Value)> {
    let mut flat = Vec::new();
    match path.map(file::source).transpose() {
        Ok(Some(file)) => flatten_all(file.collect(), &mut flat, problems),
        Ok(None) => {}
        Err(problem) => problems.push(problem),
    }
    flat
}

fn merged(
    file: Vec<(String, Value)>,
    environment: Layer,
    flags: Layer,
    problems: &mut Vec<ConfigProblem>,
) -> BTreeMap<String, Value> {
    let mut flat = Vec::new();
    let above = Config::builder().add_source(environment).add_source(flags).build();
    flatten_all(above.and_then(|config| config.collect()), &mut flat, problems);
    // The later wins.
    file.into_iter().chain(flat).collect()
}

fn flatten_all(
    tree: Result<Map<String, Value>, ConfigError>,
    flat: &mut Vec<(String, Value)>,
    problems: &mut Vec<ConfigProblem>,
) {
    match tree {
        Ok(tree) => tree.into_iter().for_each(|(key, value)| flatten(key, value, flat)),
        Err(cause) => problems.push(ConfigProblem::Combination(cause.to_string())),
    }
}

fn flatten(key: String, value: Value, flat: &mut Vec<(String, Value)>) {
    match value.kind {
        ValueKind::Table(entries) => {
            entries.into_iter().for_each(|(name, value)| flatten(format!("{key}.{name}"), value, flat));
        }
        // An empty YAML value is a setting that is not given.
        ValueKind::Nil => {}
        _ => flat.push((key, value)),
    }
}

fn apply(settings: &mut Settings, key: &str, value: &Value, origin: &str) -> Result<(), ConfigProblem> {
    let problem = |message| ConfigProblem::Value { key: key.to_owned(), origin: origin.to_owned(), message };
    let Some(known) = keys::ALL.iter().find(|known| known.name == key) else {
        let suggestion = nearest(key, keys::ALL.iter().map(|known| known.name));
        return Err(ConfigProblem::Unknown { key: key.to_owned(), origin: origin.to_owned(), suggestion });
    };
    let text = value.clone().into_string().map_err(|_| problem("one value is expected here".into()))?;
    (known.set)(settings, &text).map_err(problem)
}
