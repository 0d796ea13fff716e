//! Why a verb was not carried out.
use std::fmt::Display;
use std::io;

use cairn_node::{Answer, Kind};

/// A refusal or a failure; nothing of it is journalled, so the same key may try again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Fault {
    pub kind: Kind,
    pub code: &'static str,
    pub message: String,
}

pub type Outcome<T> = Result<T, Fault>;

impl Fault {
    pub fn permanent(code: &'static str, message: impl Into<String>) -> Self {
        Self { kind: Kind::Permanent, code, message: message.into() }
    }

    pub fn transient(code: &'static str, message: impl Into<String>) -> Self {
        Self { kind: Kind::Transient, code, message: message.into() }
    }

    /// The same, but worth trying again.
    pub fn transient_as(self, code: &'static str) -> Self {
        Self { kind: Kind::Transient, code, ..self }
    }

    /// The same under another code.
    pub fn recoded(self, code: &'static str) -> Self {
        Self { code, ..self }
    }

    pub fn answer(self) -> Answer {
        Answer::Refused { kind: self.kind, code: self.code.to_owned(), message: self.message }
    }
}

/// Says what was being done when the operating system refused.
pub trait While<T> {
    fn doing(self, what: impl Display) -> Outcome<T>;
}

impl<T> While<T> for io::Result<T> {
    fn doing(self, what: impl Display) -> Outcome<T> {
        self.map_err(|error| {
            let (kind, code) = match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    (Kind::Permanent, "disk_full")
                }
                io::ErrorKind::ReadOnlyFilesystem => (Kind::Permanent, "read_only"),
                io::ErrorKind::Interrupted
                | io::ErrorKind::WouldBlock
                | io::ErrorKind::ResourceBusy => (Kind::Transient, "busy"),
                _ => (Kind::Permanent, "system_error"),
            };
            Fault { kind, code, message: format!("{what}: {error}") }
        })
    }
}
