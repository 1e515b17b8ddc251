//! Bearer tokens and what each may do.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use metrifold_model::Namespace;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Problems, document::Section};
use crate::files::Files;

/// Shortest token: 16 characters of a random one cannot be guessed.
const TOKEN_BYTES_MIN: usize = 16;
/// Most tokens: every one is compared at every request.
const TOKENS_MAX: usize = 1_000;

/// A token by its hash, and what it allows.
#[derive(Debug)]
pub(crate) struct Token {
    /// For the log.
    pub(crate) name: String,
    digest: Sha256Digest,
    pub(crate) namespaces: Namespaces,
    pub(crate) rights: Rights,
}

type Sha256Digest = [u8; 32];

/// Which namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Namespaces {
    All,
    These(BTreeSet<Namespace>),
}

/// What may be done with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rights {
    pub(crate) read: bool,
    pub(crate) push: bool,
}

/// All tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tokens(Vec<Arc<Token>>);

impl Tokens {
    pub(super) fn read(
        section: &Section<'_>,
        directory: &Path,
        files: &Files,
        problems: &Problems,
    ) -> Tokens {
        let entries = section.entries();
        if entries.len() > TOKENS_MAX {
            problems.add("bearer_tokens", format!("more than {TOKENS_MAX} tokens"));
        }
        let read = entries.into_iter().filter_map(|(name, node)| {
            let place = section.place(&name);
            token(name, &Section::new(&place, node, problems), directory, files, problems).map(Arc::new)
        });
        Tokens(read.collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The token that was shown. Every one is compared, whole, whatever the others were.
    pub(crate) fn find(&self, shown: &[u8]) -> Option<Arc<Token>> {
        let digest: Sha256Digest = Sha256::digest(shown).into();
        let mut found = None;
        for token in &self.0 {
            if bool::from(token.digest.ct_eq(&digest)) {
                found = Some(token);
            }
        }
        found.cloned()
    }
}

fn token(
    name: String,
    section: &Section<'_>,
    directory: &Path,
    files: &Files,
    problems: &Problems,
) -> Option<Token> {
    section.only(&["token", "token_file", "token_sha256", "namespaces", "rights"]);
    let digest = digest(section, directory, files);
    let digest = problems.take(&section.place("token"), digest);
    let namespaces = namespaces(section.list("namespaces").unwrap_or_default());
    let namespaces = problems.take(&section.place("namespaces"), namespaces);
    let rights = rights(&section.list("rights").unwrap_or_default());
    let rights = problems.take(&section.place("rights"), rights);
    Some(Token { name, digest: digest?, namespaces: namespaces?, rights: rights? })
}

fn digest(section: &Section<'_>, directory: &Path, files: &Files) -> Result<Sha256Digest, String> {
    match (section.text("token"), section.text("token_file"), section.text("token_sha256")) {
        (Some(token), None, None) => hashed(token.as_bytes()),
        (None, Some(file), None) => {
            let path = directory.join(file);
            let contents = files.read(&path).map_err(|cause| format!("{}: {cause}", path.display()))?;
            hashed(contents.trim_ascii())
        }
        (None, None, Some(hex)) => {
            unhex(&hex).ok_or_else(|| "token_sha256 must be 64 hexadecimal digits, in quotes".into())
        }
        _ => Err("exactly one of token, token_file and token_sha256 is expected".into()),
    }
}

fn hashed(token: &[u8]) -> Result<Sha256Digest, String> {
    match token.len() {
        TOKEN_BYTES_MIN.. => Ok(Sha256::digest(token).into()),
        _ => Err(format!(
            "a token has at least {TOKEN_BYTES_MIN} characters; make one by `openssl rand -hex 32`"
        )),
    }
}

fn unhex(text: &str) -> Option<Sha256Digest> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| Some(digit(pair[0])? * 16 + digit(*pair.get(1)?)?));
    bytes.collect::<Option<Vec<_>>>()?.try_into().ok()
}

fn namespaces(names: Vec<String>) -> Result<Namespaces, String> {
    match names.as_slice() {
        [] => Err("a list of namespaces is expected, or [\"*\"] for all".into()),
        [all] if all == "*" => Ok(Namespaces::All),
        _ => {
            let names = names.into_iter().map(|name| Namespace::new(name).map_err(|error| error.to_string()));
            names.collect::<Result<_, _>>().map(Namespaces::These)
        }
    }
}

fn rights(words: &[String]) -> Result<Rights, String> {
    let mut rights = Rights::default();
    for word in words {
        match word.as_str() {
            "read" => rights.read = true,
            "push" => rights.push = true,
            other => return Err(format!("{other:?} is no right; there are read and push")),
        }
    }
    match rights {
        Rights { read: false, push: false } => Err("a list of read, push or both is expected".into()),
        rights => Ok(rights),
    }
}
