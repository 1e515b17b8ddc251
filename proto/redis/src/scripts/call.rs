//! One call of a script, for any client library.

use std::sync::Arc;

use bytes::Bytes;
use sha1::{Digest, Sha1};

use super::RunId;
use crate::keys::STAGE_EXPIRY;

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
    stage: Option<(String, Bytes)>,
}

impl ScriptCall {
    pub(super) fn new(source: &Source, keys: Vec<String>, args: Vec<Vec<u8>>) -> Self {
        let args = args.into_iter().map(Bytes::from).collect();
        ScriptCall { source: source.clone(), keys: keys.into(), args, stage: None }
    }

    /// The same, with a value that is too large to be an argument.
    pub(super) fn with_stage(self, key: String, value: Vec<u8>) -> Self {
        ScriptCall { stage: Some((key, value.into())), ..self }
    }

    /// The words of the command that is to be carried out before the script, in the same pipeline: it puts a large value
    /// where the script finds it. If it fails, so has the call.
    pub fn stage(&self) -> Option<Vec<Bytes>> {
        let (key, value) = self.stage.as_ref()?;
        let word = Bytes::from_static;
        let expiry = super::decimal(STAGE_EXPIRY.as_millis()).into();
        Some(vec![word(b"SET"), Bytes::copy_from_slice(key.as_bytes()), value.clone(), word(b"PX"), expiry])
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
