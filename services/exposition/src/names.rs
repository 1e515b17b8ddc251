//! The names that a page shows, each once.
//!
//! Escaping can make two names one: `a.b` and `a_b` are both `a_b` by underscores. The page must stay one that can be
//! read, and nothing should be missing from it. So names claim their place: those that every reader ever knew first,
//! then the others in order, and one that comes too late is escaped by [`Escaping::Values`], which keeps names apart.
//! Labels do the same within their family. If even that name is taken, by a metric that is really called `U__…`, the
//! family is left out of this page and counted.

use std::collections::{HashMap, HashSet};

use metrifold_merge::{Family, FamilyKind, View};
use metrifold_model::Labels;

use crate::escaping::{Escaping, NameOf, escape, is_legacy, is_unchanged};

/// The scheme for each family of a view; `None` for one that is left out.
pub(crate) fn claim(view: &View, escaping: Escaping) -> Vec<Option<Escaping>> {
    let mut schemes = vec![Some(escaping); view.families.len()];
    let is_harmless = |family: &Family| is_unchanged(&family.name, NameOf::Metric, escaping);
    if view.families.iter().all(is_harmless) {
        return schemes;
    }
    let mut order: Vec<usize> = (0..view.families.len()).collect();
    order.sort_by_key(|index| !is_legacy(&view.families[*index].name, NameOf::Metric));
    let mut taken = HashSet::new();
    for index in order {
        let family = &view.families[index];
        schemes[index] = [escaping, Escaping::Values].into_iter().find(|scheme| {
            let wanted = exposed(family, *scheme);
            let is_free = wanted.iter().all(|name| !taken.contains(name));
            if is_free {
                taken.extend(wanted);
            }
            is_free
        });
    }
    schemes
}

/// Every name that a family's lines or metadata have in some format.
fn exposed(family: &Family, escaping: Escaping) -> HashSet<String> {
    let names = FamilyNames::new(family, escaping);
    let mut exposed: HashSet<String> = [names.family.clone()].into();
    // Where a sample is not called as its family, metadata have the name without this.
    let suffix = match family.kind {
        FamilyKind::Counter => Some("_total"),
        FamilyKind::Info => Some("_info"),
        _ => None,
    };
    for (_, shown) in &names.samples {
        exposed.extend(suffix.and_then(|suffix| shown.strip_suffix(suffix)).map(str::to_owned));
        exposed.insert(shown.clone());
    }
    exposed
}

/// A family's names and those of its labels, as one scheme shows them.
#[derive(Debug)]
pub(crate) struct FamilyNames {
    escaping: Escaping,
    /// The family's own name.
    pub(crate) family: String,
    /// The names of samples, with what is shown.
    samples: Vec<(String, String)>,
    /// Only labels that are shown otherwise than they are called.
    labels: HashMap<String, String>,
}

impl FamilyNames {
    pub(crate) fn new(family: &Family, escaping: Escaping) -> FamilyNames {
        let shown = escape(&family.name, NameOf::Metric, escaping);
        let mut names = FamilyNames { escaping, family: shown, samples: Vec::new(), labels: HashMap::new() };
        for series in family.series.iter() {
            if !names.samples.iter().any(|(name, _)| *name == series.name) {
                let shown = names.escape_sample(family, &series.name);
                names.samples.push((series.name.clone(), shown));
            }
        }
        // The label of a state is called as the family, and changes with it.
        let is_state = family.kind == FamilyKind::StateSet && is_legacy(&names.family, NameOf::Label);
        let state = is_state.then_some((family.name.as_str(), names.family.as_str()));
        let pairs = family.series.iter().flat_map(|series| series.labels.iter());
        names.labels = labels(pairs, state, escaping);
        names
    }

    /// Counters and infos are called as their samples, and escaped as these, as other exporters do; of the others the
    /// suffix stays.
    fn escape_sample(&self, family: &Family, name: &str) -> String {
        match (family.kind, name.strip_prefix(family.name.as_str())) {
            (FamilyKind::Counter | FamilyKind::Info, _) | (_, None) => {
                escape(name, NameOf::Metric, self.escaping)
            }
            (_, Some(suffix)) => format!("{}{suffix}", self.family),
        }
    }

    /// The shown name of one of the family's samples.
    pub(crate) fn sample(&self, name: &str) -> &str {
        let known = self.samples.iter().find(|(known, _)| known == name);
        known.map_or(self.family.as_str(), |(_, shown)| shown)
    }

    /// The shown name of one of the family's labels.
    pub(crate) fn label<'a>(&'a self, name: &'a str) -> &'a str {
        self.labels.get(name).map_or(name, String::as_str)
    }
}

/// The labels of an exemplar, as shown.
pub(crate) fn exemplar_labels(labels: &Labels, escaping: Escaping) -> Vec<(String, &str)> {
    let renamed = self::labels(labels.iter(), None, escaping);
    let shown = |name: &str| renamed.get(name).cloned().unwrap_or_else(|| name.to_owned());
    labels.iter().map(|(name, value)| (shown(name), value)).collect()
}

/// What labels are shown as, of those that change; `given` is one with what it has to be.
fn labels<'a>(
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
    given: Option<(&'a str, &'a str)>,
    escaping: Escaping,
) -> HashMap<String, String> {
    let mut distinct: Vec<&str> = Vec::new();
    for (name, _) in pairs {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    if distinct.iter().all(|name| is_unchanged(name, NameOf::Label, escaping)) {
        return HashMap::new();
    }
    distinct.retain(|name| given.is_none_or(|(label, _)| label != *name));
    distinct.sort_by_key(|name| (!is_legacy(name, NameOf::Label), *name));
    let given = given.map(|(label, shown)| (label.to_owned(), shown.to_owned()));
    let mut taken: HashSet<String> = given.iter().map(|(_, shown)| shown.clone()).collect();
    let mut shown: HashMap<String, String> = given.into_iter().collect();
    for name in distinct {
        let mut as_shown = escape(name, NameOf::Label, escaping);
        if taken.contains(&as_shown) {
            as_shown = escape(name, NameOf::Label, Escaping::Values);
        }
        // A label that is really called like another's code: as rare as it is contrived, but it must not stand twice.
        while !taken.insert(as_shown.clone()) {
            as_shown.push('_');
        }
        shown.insert(name.to_owned(), as_shown);
    }
    shown
}
