//! Why a file is not taken, and where in it that is.
use cairn_finance::StatementError;

use crate::{BYTES_MAX, LINES_MAX};

/// Why a file is not taken. Nothing of it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Past what is read.
    #[error("the file has more than {} MiB or {LINES_MAX} lines", BYTES_MAX >> 20)]
    TooLarge,
    /// Not UTF-8.
    #[error("the file is not UTF-8 text: byte {0} cannot be read")]
    NotText(usize),
    /// A line of CSV.
    #[error("line {line}: {message}")]
    Line {
        /// Counted from 1, the header included.
        line: u64,
        /// What is wrong with it.
        message: String,
    },
    /// Not XML, or XML that is not read on purpose.
    #[error("byte {at}: {message}")]
    Xml {
        /// Where.
        at: u64,
        /// What is wrong there.
        message: String,
    },
    /// XML that is no statement.
    #[error("{place}: {message}")]
    Camt {
        /// Which statement or entry.
        place: String,
        /// What is wrong with it.
        message: String,
    },
    /// It reads well and does not prove itself.
    #[error("{place}: {error}")]
    Unproven {
        /// Which statement.
        place: String,
        /// What is wrong with it.
        error: StatementError,
    },
}

impl ReadError {
    /// Whether the file says what cannot be true, rather than being unreadable.
    #[must_use]
    pub const fn is_of_the_sums(&self) -> bool {
        matches!(self, Self::Unproven { error: StatementError::DoesNotAddUp { .. }, .. })
    }
}
