//! A legal entity: who sells, and so who issues invoices. The stream's id is its code, for example `cairn-ch`.
//!
//! Lifecycle: it is set, and set anew when something of it changes; papers that were issued keep what it was then. The entity that was set
//! first is the one that organisations belong to.
use cairn_core::{Decider, Refusal, Text, Texts, Timestamp, cqrs_aggregate, domain_event};
use serde::{Deserialize, Serialize};

/// Who issues, as it stands on a paper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuer {
    /// Its code with us.
    pub code: String,
    /// Its name, 1 to 200 characters.
    pub name: String,
    /// Its address, lines apart by line feeds, 1 to 500 characters.
    pub address: String,
    /// Its number with the tax authorities, up to 50 characters.
    pub tax_id: String,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum LegalEntityEvent {
    #[serde(rename = "legal_entity.set")]
    Set { issuer: Issuer, series: String, at: Timestamp },
}

domain_event!(LegalEntityEvent {
    Set => "legal_entity.set", 1;
});

impl Texts for LegalEntityEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("issuer.code", Text::Kept),
        ("issuer.name", Text::Name),
        ("issuer.address", Text::Address),
        ("issuer.tax_id", Text::Reported),
        ("series", Text::Kept),
        ("at", Text::Kept),
    ];
}

/// What may be asked.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum LegalEntityCommand {
    Set { issuer: Issuer, series: String, at: Timestamp },
}

/// Why it is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum LegalEntityError {
    #[error("{0}")]
    Invalid(&'static str),
}

impl Refusal for LegalEntityError {
    fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "legal_entity_invalid",
        }
    }
}

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LegalEntity {
    pub issuer: Option<Issuer>,
    /// What the numbers of its papers begin with.
    pub series: String,
}

impl Decider for LegalEntity {
    const TYPE: &'static str = "legal_entity";
    type Command = LegalEntityCommand;
    type Event = LegalEntityEvent;
    type Error = LegalEntityError;

    fn decide(
        &self,
        command: LegalEntityCommand,
    ) -> Result<Vec<LegalEntityEvent>, LegalEntityError> {
        let LegalEntityCommand::Set { issuer, series, at } = command;
        check(&issuer, &series)?;
        if self.issuer.as_ref() == Some(&issuer) && self.series == series {
            return Ok(vec![]);
        }
        Ok(vec![LegalEntityEvent::Set { issuer, series, at }])
    }

    fn evolve(mut self, event: LegalEntityEvent) -> Self {
        let LegalEntityEvent::Set { issuer, series, .. } = event;
        (self.issuer, self.series) = (Some(issuer), series);
        self
    }
}

cqrs_aggregate!(LegalEntity);

fn check(issuer: &Issuer, series: &str) -> Result<(), LegalEntityError> {
    let invalid =
        |holds: bool, why| if holds { Ok(()) } else { Err(LegalEntityError::Invalid(why)) };
    invalid(is_code(&issuer.code), "a code is 1 to 32 small letters, digits and '-'")?;
    invalid(
        is_text(&issuer.name, 200),
        "a name has 1 to 200 characters, and no control characters",
    )?;
    let address = issuer.address.replace('\n', " ");
    invalid(is_text(&address, 500), "an address has 1 to 500 characters")?;
    let tax_id = issuer.tax_id.is_empty() || is_text(&issuer.tax_id, 50);
    invalid(tax_id, "a tax id has up to 50 characters")?;
    invalid(is_series(series), "a series is 1 to 8 capital letters and digits, a letter first")
}

fn is_code(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&text.len()) && text.bytes().all(plain)
}

/// Whether numbers may begin with it.
#[must_use]
pub fn is_series(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_uppercase());
    first && text.len() <= 8 && text.bytes().all(plain)
}

/// Something to read, of so many characters at most.
pub(crate) fn is_text(text: &str, max: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= max && !text.chars().any(char::is_control)
}
