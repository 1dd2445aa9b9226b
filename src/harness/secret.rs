//! Resolving references to secrets. A secret is masked from the moment at which it is known.

use super::backup::pipeline::Key;
use super::error::{Doing, Error, Outcome};
use super::lab::missing;
use super::recorder::Recorder;
use crate::model::params::SecretRef;

/// The text of a referenced secret; `None` for an ephemeral one.
pub fn resolve(reference: &SecretRef, recorder: &Recorder) -> Outcome<Option<String>> {
    let text = match reference {
        SecretRef::Ephemeral => return Ok(None),
        SecretRef::Env(name) => std::env::var(name).map_err(|_| {
            missing(format!("the environment has no {name}, which the file names as a secret"), format!("set {name}, or use another reference"))
        })?,
        SecretRef::File(path) => std::fs::read_to_string(path).doing(|| format!("read the secret in {path}"))?,
    };
    let text = text.trim_end_matches(['\n', '\r']).to_string();
    for line in text.lines() {
        recorder.keep_secret(line);
    }
    Ok(Some(text))
}

/// An age key by reference, or a fresh one.
pub fn age_key(reference: &SecretRef, recorder: &Recorder) -> Outcome<Key> {
    match resolve(reference, recorder)? {
        None => Ok(Key::ephemeral()),
        Some(text) => Key::parse(&text).ok_or_else(|| Error::Missing {
            what: format!("{reference} does not hold an age identity"),
            hint: "it must hold a line AGE-SECRET-KEY-1…; `age-keygen` makes one".into(),
        }),
    }
}
