//! A YAML document whose every key is known.

use std::cell::RefCell;

use yaml_rust2::{Yaml, YamlLoader, yaml::Hash};

use super::WebProblem;

/// How similar an existing name must be to be suggested (Jaro-Winkler, as for settings).
const SUGGESTION_SIMILARITY_MIN: f64 = 0.7;

/// Collects everything that is wrong, so that it can be said at once.
#[derive(Debug, Default)]
pub(crate) struct Problems(RefCell<Vec<WebProblem>>);

impl Problems {
    pub(crate) fn add(&self, place: impl Into<String>, message: impl Into<String>) {
        self.0.borrow_mut().push(WebProblem { place: place.into(), message: message.into() });
    }

    /// The value, or nothing and a problem.
    pub(crate) fn take<T>(&self, place: &str, result: Result<T, impl ToString>) -> Option<T> {
        result.map_err(|message| self.add(place, message.to_string())).ok()
    }

    pub(crate) fn into_inner(self) -> Vec<WebProblem> {
        self.0.into_inner()
    }
}

/// Reads the one document of a file.
pub(crate) fn parse(text: &str) -> Result<Yaml, String> {
    let mut documents = YamlLoader::load_from_str(text).map_err(|error| error.to_string())?;
    match documents.len() {
        0 => Ok(Yaml::Hash(Hash::new())),
        1 => Ok(documents.remove(0)),
        more => Err(format!("{more} documents where one is expected")),
    }
}

/// A mapping and what is wrong with it.
#[derive(Clone, Copy)]
pub(crate) struct Section<'d> {
    name: &'d str,
    entries: Option<&'d Hash>,
    problems: &'d Problems,
}

impl<'d> Section<'d> {
    /// The mapping `node`, called `name` ("" for the document itself).
    pub(crate) fn new(name: &'d str, node: &'d Yaml, problems: &'d Problems) -> Section<'d> {
        let entries = match node {
            Yaml::Hash(entries) => Some(entries),
            // A key with nothing behind it is one that is not given.
            Yaml::Null | Yaml::BadValue => None,
            _ => {
                problems.add(if name.is_empty() { "the document" } else { name }, "a mapping is expected");
                None
            }
        };
        Section { name, entries, problems }
    }

    /// The dotted name of a key.
    pub(crate) fn place(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// Refuses every key that is not among `known`.
    pub(crate) fn only(&self, known: &[&str]) {
        for (key, _) in self.entries() {
            if !known.contains(&key.as_str()) {
                let message = format!("there is no such key{}", suggestion(&key, known));
                self.problems.add(self.place(&key), message);
            }
        }
    }

    /// All entries, in the order of the file.
    pub(crate) fn entries(&self) -> Vec<(String, &'d Yaml)> {
        let named = |(key, value): (&'d Yaml, &'d Yaml)| match scalar(key) {
            Some(key) => Some((key, value)),
            None => {
                self.problems.add(self.name, "a key must be a word");
                None
            }
        };
        self.entries.into_iter().flatten().filter_map(named).collect()
    }

    /// What stands under `key`, if anything does.
    pub(crate) fn node(&self, key: &str) -> Option<&'d Yaml> {
        let found = self.entries?.get(&Yaml::String(key.to_owned()))?;
        (!found.is_null()).then_some(found)
    }

    /// One word or text; an empty one is one that is not given.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        let node = self.node(key)?;
        let text = scalar(node);
        if text.is_none() {
            self.problems.add(self.place(key), "one value is expected");
        }
        text.filter(|text| !text.is_empty())
    }

    /// A truth value, in any spelling of YAML.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        let text = self.text(key)?;
        let flag = match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Ok(true),
            "false" | "no" | "off" => Ok(false),
            _ => Err(format!("{text:?} is neither true nor false")),
        };
        self.problems.take(&self.place(key), flag)
    }

    /// A list of words.
    pub(crate) fn list(&self, key: &str) -> Option<Vec<String>> {
        let node = self.node(key)?;
        let list = node.as_vec().and_then(|list| list.iter().map(scalar).collect::<Option<Vec<_>>>());
        self.problems.take(&self.place(key), list.ok_or("a list of words is expected"))
    }
}

fn scalar(node: &Yaml) -> Option<String> {
    match node {
        Yaml::String(text) | Yaml::Real(text) => Some(text.clone()),
        Yaml::Integer(number) => Some(number.to_string()),
        Yaml::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// `; did you mean x?`, if something is like it.
pub(crate) fn suggestion(given: &str, known: &[&str]) -> String {
    let ranked = known.iter().map(|name| (strsim::jaro_winkler(given, name), name));
    let best = ranked.filter(|(likeness, _)| *likeness > SUGGESTION_SIMILARITY_MIN);
    let best = best.max_by(|one, two| one.0.total_cmp(&two.0));
    best.map(|(_, name)| format!("; did you mean {name}?")).unwrap_or_default()
}
