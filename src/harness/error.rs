//! What can go wrong in this room, told apart: a *failure* is a result of the drill (the recovery did not
//! come about), anything else means that the harness could not do its work.

use crate::model::event::FailureClass;
use std::time::Duration;
use thiserror::Error;

/// An error of the harness.
#[derive(Debug, Error)]
pub enum Error {
    /// A result: a recovery, detection or backup step failed.
    #[error("{detail}")]
    Failed {
        /// Its stable class.
        class: FailureClass,
        /// Details for people.
        detail: String,
    },
    /// Something that is needed is not on this machine.
    #[error("{what}")]
    Missing {
        /// What.
        what: String,
        /// The command that adds it.
        hint: String,
    },
    /// The scenario asks for what this version does not do.
    #[error("{what}")]
    Unsupported {
        /// What.
        what: String,
        /// What to write instead.
        hint: String,
    },
    /// A server that does not start for a reason that says nothing about the recovery: the machine, or a setting of the file.
    #[error("{what}")]
    Server {
        /// Which, and its own words.
        what: String,
        /// What to do.
        hint: String,
    },
    /// A program ended badly.
    #[error("{program} {how}{}", said(stderr))]
    Program {
        /// Its name.
        program: String,
        /// `exited with 1`, `was killed by signal 9`, …
        how: String,
        /// The end of what it said.
        stderr: String,
    },
    /// An operation of the file system or the network.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A query.
    #[error("{what}: {}", sql(source))]
    Sql {
        /// What was being done.
        what: String,
        /// The driver's answer.
        source: tokio_postgres::Error,
    },
    /// The object store.
    #[error(transparent)]
    Store(#[from] super::store::StoreError),
    /// The container engine.
    #[error("{what}: {message}")]
    Docker {
        /// What was being done.
        what: String,
        /// Its answer.
        message: String,
    },
    /// Something that should have come did not.
    #[error("{what} did not happen within {}", crate::model::units::human_duration(*after))]
    Timeout {
        /// What.
        what: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// A failure that is in the record already.
    #[error("the drill ended early")]
    Reported,
    /// Someone asked the run to stop.
    #[error("interrupted")]
    Interrupted,
    /// A defect or an unusable environment, in words.
    #[error("{0}")]
    Other(String),
}

/// A result of this room.
pub type Outcome<T> = Result<T, Error>;

fn said(stderr: &str) -> String {
    let tail = stderr.trim();
    if tail.is_empty() { String::new() } else { format!(": {tail}") }
}

/// A driver's error with the server's own words, which its `Display` leaves out.
fn sql(e: &tokio_postgres::Error) -> String {
    match e.as_db_error() {
        Some(db) => format!("{} ({})", db.message(), db.code().code()),
        None => {
            let mut text = e.to_string();
            let mut source = std::error::Error::source(e);
            while let Some(inner) = source {
                text.push_str(&format!(": {inner}"));
                source = inner.source();
            }
            text
        }
    }
}

impl Error {
    /// A result of the drill.
    pub fn failed(class: FailureClass, detail: impl Into<String>) -> Error {
        Error::Failed { class, detail: detail.into() }
    }

    /// The advice that goes with it, apart from the message.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Missing { hint, .. } | Error::Server { hint, .. } | Error::Unsupported { hint, .. } => Some(hint.clone()),
            Error::Failed { class, .. } => Some(class.advice().to_string()),
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Some("free space, or choose another place: `--scratch DIR` for the lab, `--out DIR` for the evidence".into())
            }
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Some("check the owner and mode of the path, and of every directory above it".into())
            }
            _ => None,
        }
    }
}

/// Adds what was being done to an I/O error.
pub trait Doing<T> {
    /// `what` in words, for example "create /x/y".
    fn doing(self, what: impl FnOnce() -> String) -> Outcome<T>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|source| Error::Io { what: what(), source })
    }
}

impl<T> Doing<T> for Result<T, tokio_postgres::Error> {
    fn doing(self, what: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|source| Error::Sql { what: what(), source })
    }
}
