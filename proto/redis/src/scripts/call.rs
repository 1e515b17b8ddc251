//! One call of a script, for any client library.

use std::sync::Arc;

use sha1::{Digest, Sha1};

/// A script's text and name.
#[derive(Clone, Debug)]
pub(super) struct Source {
    text: Arc<str>,
    sha: Arc<str>,
}

impl Source {
    pub(super) fn new(text: String) -> Self {
        let digest = Sha1::digest(text.as_bytes());
        let sha: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Source { text: text.into(), sha: sha.into() }
    }
}

/// One call of a script. Its reply is a flat array of bulk strings.
#[derive(Clone, Debug)]
pub struct ScriptCall {
    source: Source,
    keys: Vec<String>,
    /// Without the first argument, which says whether to compare the run id.
    args: Vec<Vec<u8>>,
}

impl ScriptCall {
    pub(super) fn new(source: &Source, keys: Vec<String>, args: Vec<Vec<u8>>) -> Self {
        ScriptCall { source: source.clone(), keys, args }
    }

    /// The script's text, for `EVAL`.
    pub fn source(&self) -> &str {
        &self.source.text
    }

    /// The script's SHA-1 in hex, for `EVALSHA`.
    pub fn sha(&self) -> &str {
        &self.source.sha
    }

    /// All keys, in one slot.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The arguments for `EVAL` (`checks`: compare the run id first) or for `EVALSHA` (not). `EVAL` without the check
    /// would let later pushes pass unchecked.
    pub fn args(&self, checks: bool) -> Vec<Vec<u8>> {
        std::iter::once(super::flag(checks)).chain(self.args.iter().cloned()).collect()
    }

    /// The words of the command that runs the script if this Redis process knows it, without comparing the run id.
    pub fn evalsha(&self) -> Vec<Vec<u8>> {
        self.words("EVALSHA", &self.source.sha, false)
    }

    /// The words of the command that compares the run id, runs the script and makes it known.
    pub fn eval(&self) -> Vec<Vec<u8>> {
        self.words("EVAL", &self.source.text, true)
    }

    fn words(&self, command: &str, script: &str, checks: bool) -> Vec<Vec<u8>> {
        let mut words = vec![command.into(), script.into(), super::decimal(self.keys.len())];
        words.extend(self.keys.iter().map(|key| key.clone().into_bytes()));
        words.extend(self.args(checks));
        words
    }
}

/// Whether an error's text says that this Redis process does not know the script.
pub fn is_noscript(error: &str) -> bool {
    error.contains("NOSCRIPT")
}
