//! The tax table of one jurisdiction: versioned rates.
//!
//! Lifecycle: `set (version n, n+1, …)`. A version never changes once set; a rental keeps the one it began with until it is moved to another
//! on purpose. Where there is no table, no tax is charged.
use std::collections::BTreeMap;

use cairn_core::tax::{WHOLE, is_jurisdiction};
use cairn_core::{
    Decider, Refusal, Tax, TaxRate, TaxTreatment, Text, Texts, Timestamp, cqrs_aggregate,
    domain_event,
};
use serde::{Deserialize, Serialize};

/// One version of a tax.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxVersion {
    /// Counts up from 1 per jurisdiction.
    pub version: u32,
    /// What it is called there.
    pub name: String,
    /// Millionths of the net amount.
    pub ppm: u32,
    /// Whether prices of the catalogue include it; otherwise it comes on top.
    pub inclusive: bool,
    /// Whether a customer who has a tax id owes it to the jurisdiction instead of us.
    pub reverse_charge: bool,
    /// From when new rentals pay it.
    pub effective_at: Timestamp,
}

/// What has happened to a tax table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum TaxTableEvent {
    #[serde(rename = "tax_table.rate_set")]
    RateSet { jurisdiction: String, tax: TaxVersion, at: Timestamp },
}

domain_event!(TaxTableEvent {
    RateSet => "tax_table.rate_set", 1;
});

impl Texts for TaxTableEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("jurisdiction", Text::Kept),
        ("tax.name", Text::Kept),
        ("tax.effective_at", Text::Kept),
        ("at", Text::Kept),
    ];
}

/// What may be asked of a tax table.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum TaxTableCommand {
    /// The number of the version is ours to give.
    SetRate { jurisdiction: String, tax: TaxVersion, at: Timestamp },
}

/// Why a tax table refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum TaxTableError {
    #[error("a jurisdiction is a country of ISO 3166 or a part of one, such as DE or US-CA")]
    BadJurisdiction,
    #[error("a tax is more than 0 and at most 100 percent, and its name has 1 to 40 characters")]
    BadTax,
}

impl Refusal for TaxTableError {
    fn code(&self) -> &'static str {
        match self {
            Self::BadJurisdiction => "jurisdiction_invalid",
            Self::BadTax => "tax_invalid",
        }
    }
}

/// What a tax table remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct TaxTable {
    pub jurisdiction: String,
    /// Every version, by number.
    pub versions: BTreeMap<u32, TaxVersion>,
}

impl Decider for TaxTable {
    const TYPE: &'static str = "tax_table";
    type Command = TaxTableCommand;
    type Event = TaxTableEvent;
    type Error = TaxTableError;

    fn decide(&self, command: TaxTableCommand) -> Result<Vec<TaxTableEvent>, TaxTableError> {
        let TaxTableCommand::SetRate { jurisdiction, tax, at } = command;
        if !is_jurisdiction(&jurisdiction) {
            return Err(TaxTableError::BadJurisdiction);
        }
        let named = (1..=40).contains(&tax.name.chars().count())
            && tax.name.trim() == tax.name
            && !tax.name.chars().any(char::is_control);
        // A rate of zero ends a tax.
        let ends = tax.ppm == 0 && !self.versions.is_empty();
        if !named || tax.ppm > WHOLE || (tax.ppm == 0 && !ends) {
            return Err(TaxTableError::BadTax);
        }
        let current = self.version_at(tax.effective_at);
        let version = self.versions.keys().next_back().map_or(1, |last| last + 1);
        let alike = |known: &TaxVersion| {
            let (version, effective_at) = (known.version, known.effective_at);
            *known == TaxVersion { version, effective_at, ..tax.clone() }
        };
        if current.is_some_and(alike) {
            return Ok(vec![]);
        }
        Ok(vec![TaxTableEvent::RateSet { jurisdiction, tax: TaxVersion { version, ..tax }, at }])
    }

    fn evolve(mut self, event: TaxTableEvent) -> Self {
        let TaxTableEvent::RateSet { jurisdiction, tax, .. } = event;
        self.jurisdiction = jurisdiction;
        self.versions.insert(tax.version, tax);
        self
    }
}

cqrs_aggregate!(TaxTable);

impl TaxTable {
    fn version_at(&self, at: Timestamp) -> Option<&TaxVersion> {
        let effective = |tax: &&TaxVersion| tax.effective_at <= at;
        self.versions.values().filter(effective).max_by_key(|tax| (tax.effective_at, tax.version))
    }

    /// The tax that a rental beginning at `at` pays: the latest version effective by then.
    #[must_use]
    pub fn tax_at(&self, at: Timestamp, has_tax_id: bool) -> Option<Tax> {
        let found = self.version_at(at).filter(|tax| tax.ppm > 0)?;
        let treatment = match (found.reverse_charge && has_tax_id, found.inclusive) {
            (true, _) => TaxTreatment::ReverseCharge,
            (false, true) => TaxTreatment::Inclusive,
            (false, false) => TaxTreatment::Exclusive,
        };
        let rate = TaxRate { jurisdiction: self.jurisdiction.clone(), ppm: found.ppm };
        Some(Tax { rate, name: found.name.clone(), treatment, version: found.version })
    }
}
