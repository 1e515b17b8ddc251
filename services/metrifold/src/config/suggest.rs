//! What somebody who mistyped a name may have meant.

/// How similar an existing name must be to be suggested (Jaro-Winkler, as clap does for flags).
const SUGGESTION_SIMILARITY_MIN: f64 = 0.7;

/// The name most like `given`, if any is like it at all.
pub(super) fn nearest<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    names
        .map(|name| (strsim::jaro_winkler(given, name), name))
        .filter(|(similarity, _)| *similarity > SUGGESTION_SIMILARITY_MIN)
        .max_by(|one, two| one.0.total_cmp(&two.0))
        .map(|(_, name)| name.to_owned())
}
