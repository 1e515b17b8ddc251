//! One source of settings, as dotted names with where each came from.

use config::{ConfigError, Map, Source, Value, ValueKind};

/// Settings from flags or from the environment.
#[derive(Clone, Default)]
pub struct Layer(Vec<(String, String, String)>);

impl Layer {
    /// Adds one setting by its dotted key; `origin` is how it is named in errors.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>, origin: impl Into<String>) {
        self.0.push((key.into(), value.into(), origin.into()));
    }
}

// Values may be secret; the keys are enough to debug with.
impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(key, ..)| key)).finish()
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let value = |(key, value, origin): &(String, String, String)| {
            (key.clone(), Value::new(Some(origin), ValueKind::String(value.clone())))
        };
        Ok(self.0.iter().map(value).collect())
    }
}
