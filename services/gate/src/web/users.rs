//! Users and the hashes of their passwords.

use std::collections::BTreeMap;

use super::{Problems, document::Section};

/// Highest cost of a hash: twice the time for each step, a few seconds at this one.
const COST_MAX: u32 = 18;

/// Users by name, with bcrypt hashes.
#[derive(Clone, Default)]
pub(crate) struct Users(BTreeMap<String, String>);

impl Users {
    pub(super) fn read(section: &Section<'_>, problems: &Problems) -> Users {
        let mut users = BTreeMap::new();
        for (name, node) in section.entries() {
            let hash = node.as_str().ok_or("a bcrypt hash is expected, in quotes").and_then(check);
            if let Some(hash) = problems.take(&section.place(&name), hash) {
                users.insert(name, hash.to_owned());
            }
        }
        Users(users)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The hash to compare a password with, and whether that user exists. Nobody's password is compared with the hash
    /// of somebody, chosen by `lot`, so that it takes as long as for a user who exists.
    pub(crate) fn hash(&self, name: &str, lot: u64) -> Option<(&str, bool)> {
        if let Some(hash) = self.0.get(name) {
            return Some((hash, true));
        }
        let count = u64::try_from(self.0.len()).ok().filter(|count| *count > 0)?;
        let chosen = usize::try_from(lot % count).ok()?;
        self.0.values().nth(chosen).map(|hash| (hash.as_str(), false))
    }
}

/// What a hash must look like: `$2y$10$` and 53 characters.
fn check(hash: &str) -> Result<&str, &'static str> {
    let mut parts = hash.split('$').skip(1);
    let (version, cost, rest) = (parts.next(), parts.next(), parts.next());
    let cost: Option<u32> = cost.filter(|cost| cost.len() == 2).and_then(|cost| cost.parse().ok());
    let is_version = version.is_some_and(|version| ["2a", "2b", "2x", "2y"].contains(&version));
    let is_rest = rest.is_some_and(|rest| rest.len() == 53 && rest.is_ascii()) && parts.next().is_none();
    match cost {
        Some(COST_MAX..) if is_version && is_rest && cost > Some(COST_MAX) => {
            Err("the cost of this hash is above 18, so checking a password would take many seconds")
        }
        Some(4..) if is_version && is_rest => Ok(hash),
        _ => Err("this is no bcrypt hash; make one by `htpasswd -nBC 10 \"\" | tr -d ':\\n'`"),
    }
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hashes_that_can_be_checked_in_time_are_taken() {
        let good = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";
        assert_eq!(check(good), Ok(good));
        for bad in
            ["", "secret", "$2y$10$short", "$1$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"]
        {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check(&good.replace("$10$", "$19$")).is_err());
        assert!(check(&good.replace("$10$", "$18$")).is_ok());
    }

    #[test]
    fn nobody_is_compared_with_somebody() {
        let users = Users([("ann".into(), "a".into()), ("bob".into(), "b".into())].into());
        assert_eq!(users.hash("ann", 7), Some(("a", true)));
        assert_eq!(users.hash("eve", 6), Some(("a", false)));
        assert_eq!(users.hash("eve", 7), Some(("b", false)));
        assert_eq!(Users::default().hash("eve", 7), None);
    }
}
