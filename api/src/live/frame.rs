//! One public event on its way to readers.
use cairn_commands::public::PublicEvent;
use cairn_core::OrganisationId;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A public event, and whose it is.
#[derive(Debug)]
pub struct Frame {
    /// Its place in the log, and so in every stream that has it.
    pub position: i64,
    /// Kind of what it happened to, for example `allocation`.
    pub family: String,
    /// Id of what it happened to.
    pub subject_id: String,
    /// The organisation it belongs to; `None`: the platform.
    pub owner: Option<OrganisationId>,
    /// Type and version.
    pub kind: String,
    /// The CloudEvent as JSON.
    pub body: String,
}

/// What else says the envelope.
#[derive(Debug, Deserialize)]
pub struct Parts<'a> {
    /// The same whenever it is told again.
    pub id: &'a str,
    /// When it was recorded.
    pub time: &'a str,
    /// What it says.
    #[serde(borrow)]
    pub data: &'a RawValue,
}

impl Frame {
    /// Of a public event.
    #[must_use]
    pub fn new(event: PublicEvent, owner: Option<OrganisationId>) -> Self {
        let PublicEvent { position, kind, key, body, .. } = event;
        let (family, subject_id) = key.split_once('/').unwrap_or((&key, ""));
        let (family, subject_id) = (family.to_owned(), subject_id.to_owned());
        Self { position, family, subject_id, owner, kind, body }
    }

    /// The parts of the envelope.
    ///
    /// # Errors
    /// None that is known: the envelope is ours.
    pub fn parts(&self) -> Result<Parts<'_>, serde_json::Error> {
        serde_json::from_str(&self.body)
    }
}
