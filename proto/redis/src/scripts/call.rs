//! One call of a script, for any client library.

use std::sync::Arc;

use bytes::Bytes;
use sha1::{Digest, Sha1};

use super::RunId;

/// A script's text and name.
#[derive(Clone, Debug)]
pub(super) struct Source {
    text: Bytes,
    sha: Bytes,
}

impl Source {
    pub(super) fn new(text: &'static str) -> Self {
        let digest = Sha1::digest(text.as_bytes());
        let sha: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Source { text: Bytes::from_static(text.as_bytes()), sha: sha.into() }
    }
}

/// One call of a script. Its reply is a flat array of bulk strings.
///
/// The first argument is the run id of the process that the command is sent to: whoever sends it must have read it over
/// the same connection.
#[derive(Clone, Debug)]
pub struct ScriptCall {
    source: Source,
    keys: Arc<[String]>,
    /// Without the run id.
    args: Arc<[Bytes]>,
}

impl ScriptCall {
    pub(super) fn new(source: &Source, keys: Vec<String>, args: Vec<Vec<u8>>) -> Self {
        let args = args.into_iter().map(Bytes::from).collect();
        ScriptCall { source: source.clone(), keys: keys.into(), args }
    }

    /// All keys, in one slot.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The words of the command that runs the script if this Redis process knows it.
    pub fn evalsha(&self, run: &RunId) -> Vec<Bytes> {
        self.words(Bytes::from_static(b"EVALSHA"), &self.source.sha, run)
    }

    /// The words of the command that runs the script and makes it known.
    pub fn eval(&self, run: &RunId) -> Vec<Bytes> {
        self.words(Bytes::from_static(b"EVAL"), &self.source.text, run)
    }

    fn words(&self, command: Bytes, script: &Bytes, run: &RunId) -> Vec<Bytes> {
        let mut words = vec![command, script.clone(), super::decimal(self.keys.len()).into()];
        words.extend(self.keys.iter().map(|key| Bytes::copy_from_slice(key.as_bytes())));
        words.push(run.word());
        words.extend(self.args.iter().cloned());
        words
    }
}

/// Whether an error's text says that this Redis process does not know the script.
pub fn is_noscript(error: &str) -> bool {
    error.contains("NOSCRIPT")
}
