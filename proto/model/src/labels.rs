//! A label set in its one canonical order.

/// A set of labels, sorted by name, one value per name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Vec<(String, String)>);

impl Labels {
    /// Sorts `pairs` by name. Of several values for one name the last wins.
    pub fn new(pairs: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        let mut labels = Labels::default();
        for (name, value) in pairs {
            labels.set(name, value);
        }
        labels
    }

    /// Sets one label, replacing a former value.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let (name, value) = (name.into(), value.into());
        match self.0.binary_search_by(|(existing, _)| existing.as_str().cmp(&name)) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (name, value)),
        }
    }

    /// Takes a label out and returns its value.
    pub fn remove(&mut self, name: &str) -> Option<String> {
        let at = self.0.binary_search_by(|(existing, _)| existing.as_str().cmp(name)).ok()?;
        Some(self.0.remove(at).1)
    }

    /// The value of a label.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(existing, _)| existing.as_str().cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    /// Pairs of name and value, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The number of labels.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_insertion_does_not_matter_and_the_last_value_wins() {
        let one = Labels::new([("b", "2"), ("a", "1")]);
        let two = Labels::new([("a", "0"), ("a", "1"), ("b", "2")]);
        assert_eq!(one, two);
        assert_eq!(one.get("a"), Some("1"));
        assert_eq!(one.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
    }

    #[test]
    fn removing_a_label_leaves_the_others() {
        let mut labels = Labels::new([("a", "1"), ("le", "+Inf")]);
        assert_eq!(labels.remove("le").as_deref(), Some("+Inf"));
        assert_eq!(labels.remove("le"), None);
        assert_eq!(labels.len(), 1);
    }
}
