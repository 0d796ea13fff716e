//! What a verification found.
use serde::Serialize;

/// Most differences that are described; all are counted.
const DESCRIBED_MAX: usize = 100;

/// What replaying the whole log found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct VerifyReport {
    /// Events read; also the last position of a healthy log.
    pub events: i64,
    /// Streams folded.
    pub streams: i64,
    /// Journal transactions compared with their events.
    pub journal_transactions: i64,
    /// Wallets whose guarded balance was compared with their fold.
    pub wallets: i64,
    /// Holds compared with their wallet's fold.
    pub holds: i64,
    /// Snapshots compared with the state at their place.
    pub snapshots: i64,
    /// How many differences there are.
    pub differences_found: i64,
    /// The first hundred of them.
    pub differences: Vec<Difference>,
    /// SHA-256 over every stream's name, length and state, in the order of their names. The same log gives the same digest.
    pub digest: String,
    /// Whether what was written live is what the log says: no difference.
    pub identical: bool,
}

/// Something that is not what the log says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What was compared: `log`, `event`, `journal`, `balance`, `hold` or `snapshot`.
    pub what: &'static str,
    /// Which one: a position, an account, a hold or a stream.
    pub which: String,
    /// How they differ.
    pub message: String,
}

impl VerifyReport {
    pub(super) fn differ(
        &mut self,
        what: &'static str,
        which: impl ToString,
        message: impl Into<String>,
    ) {
        self.differences_found += 1;
        if self.differences.len() < DESCRIBED_MAX {
            let (which, message) = (which.to_string(), message.into());
            self.differences.push(Difference { what, which, message });
        }
    }
}
