//! What stands behind the question mark of `/metrics`.

use std::collections::BTreeSet;

use metrifold_model::LabelNames;

/// The parameters of a scrape. Unknown ones are ignored, as every exporter does.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ScrapeQuery {
    /// `namespace`; the last counts.
    pub(crate) namespace: Option<String>,
    /// All `group_by`, each one label or several with commas between; given and empty: none.
    pub(crate) group_by: Option<LabelNames>,
    /// All `name[]`.
    pub(crate) names: BTreeSet<String>,
}

impl ScrapeQuery {
    pub(crate) fn parse(query: &str) -> ScrapeQuery {
        let mut parsed = ScrapeQuery::default();
        let mut group_by: Option<BTreeSet<String>> = None;
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "namespace" => parsed.namespace = Some(value.into_owned()),
                "name[]" => {
                    parsed.names.insert(value.into_owned());
                }
                "group_by" => {
                    let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
                    group_by.get_or_insert_default().extend(names.map(String::from));
                }
                _ => {}
            }
        }
        parsed.group_by = group_by.map(LabelNames::from_iter);
        parsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_gathered_from_every_way_to_write_them() {
        let query = ScrapeQuery::parse("name[]=a&name%5B%5D=b.c&namespace=shop&name%5b%5d=a&other=1&name=x");
        let names = ["a", "b.c"].map(String::from).into();
        assert_eq!(query, ScrapeQuery { namespace: Some("shop".into()), names, group_by: None });
    }

    #[test]
    fn labels_to_group_by_are_gathered_and_none_is_not_the_same_as_an_empty_list() {
        let group_by = |query: &str| ScrapeQuery::parse(query).group_by;
        assert_eq!(
            group_by("group_by=zone,%20host&group_by=zone"),
            Some(LabelNames::from_iter(["host", "zone"]))
        );
        assert_eq!(group_by("group_by="), Some(LabelNames::default()));
        assert_eq!(group_by("group=host"), None);
    }
}
