//! What a verification says, and where it goes on.
use std::fs;
use std::io;
use std::path::Path;

use cairn_seal::{Finding, Hash};
use serde::{Deserialize, Serialize};

/// Findings that are told one by one.
const TOLD: usize = 100;

/// What a verification says.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Whether everything is as it was sealed.
    pub intact: bool,
    /// The first position that is not.
    pub first_bad_position: Option<i64>,
    /// Which log.
    pub log_id: String,
    /// Head of the log when the verification began.
    pub head: i64,
    /// Blocks whose chain and signatures were checked.
    pub blocks: u64,
    /// Last position that is sealed.
    pub sealed_position: i64,
    /// Events after it: nothing speaks for them yet.
    pub unsealed_events: i64,
    /// Number of the last published block; nothing when no published copy was looked at.
    pub published_blocks: Option<u64>,
    /// Events that were read and held against their leaves.
    pub events_checked: u64,
    /// How much was found.
    pub findings_total: usize,
    /// The first of it.
    pub findings: Vec<Finding>,
}

impl Report {
    pub(crate) fn add(&mut self, findings: Vec<Finding>) {
        self.findings_total += findings.len();
        self.findings.extend(findings);
        self.findings.sort_by_key(|finding| finding.position);
        self.findings.truncate(TOLD);
    }

    pub(crate) fn conclude(mut self) -> Self {
        self.intact = self.findings_total == 0;
        self.first_bad_position = self.findings.first().map(|finding| finding.position);
        self
    }
}

/// Where a verification goes on: everything up to a block was intact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// Which log.
    pub log_id: String,
    /// Number of the last block whose events were found intact.
    pub block: u64,
    /// Hash of its header.
    pub block_hash: Hash,
}

impl Resume {
    /// What an earlier run left; `None` when there is no such file.
    ///
    /// # Errors
    /// When it cannot be read, or is something else.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => Ok(Some(serde_json::from_slice(&read?)?)),
        }
    }

    /// Leaves it for the next run, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut draft = path.as_os_str().to_owned();
        draft.push(".new");
        fs::write(&draft, serde_json::to_vec(self)?)?;
        fs::rename(&draft, path)
    }
}
