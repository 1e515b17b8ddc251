//! Which gauge merges by which rule.

use std::collections::HashMap;

use metrifold_model::GaugeMode;

/// The merge mode of each gauge: [`GaugeMode::All`] (one series per worker) unless told otherwise.
#[derive(Clone, Debug)]
pub struct GaugeModes {
    default: GaugeMode,
    by_name: HashMap<String, GaugeMode>,
}

impl Default for GaugeModes {
    fn default() -> Self {
        GaugeModes { default: GaugeMode::All, by_name: HashMap::new() }
    }
}

impl GaugeModes {
    /// Sets the mode of every gauge that has none of its own.
    pub fn set_default(&mut self, mode: GaugeMode) {
        self.default = mode;
    }

    /// Sets the mode of the gauge `name`.
    pub fn set(&mut self, name: impl Into<String>, mode: GaugeMode) {
        self.by_name.insert(name.into(), mode);
    }

    /// The mode of the gauge `name`.
    pub fn of(&self, name: &str) -> GaugeMode {
        self.by_name.get(name).copied().unwrap_or(self.default)
    }
}
