//! The discounts of one organisation: what it pays less than the catalogue says.
//!
//! Lifecycle of each: `given → withdrawn`, or it ends by itself. A discount never changes once given; a rental pins the one it began with, and
//! keeps it until it is moved to another price on purpose.
//! Invariants: discounts do not add up: the largest that fits counts, of equal ones the one given first; none takes the whole price.
use std::collections::BTreeMap;

use cairn_core::{
    Decider, DiscountId, OrganisationId, Refusal, Subject, Text, Texts, Timestamp, cqrs_aggregate,
    domain_event,
};
use serde::{Deserialize, Serialize};

use crate::sku::check_sku_id;

/// The most that a discount takes, in basis points. What is to cost nothing is paid for with promotional credit.
pub const DISCOUNT_BPS_MAX: u32 = 9_000;
const IN_FORCE_MAX: usize = 50;
const REASON_MAX: usize = 500;

/// A discount as it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discount {
    /// Which.
    pub discount_id: DiscountId,
    /// Off the price, in basis points.
    pub basis_points: u32,
    /// Of what; of everything when absent.
    pub sku_id: Option<String>,
    /// Until when new rentals get it; without end when absent.
    pub ends_at: Option<Timestamp>,
    /// Why it is given.
    pub reason: String,
}

/// What has happened to an organisation's discounts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum DiscountEvent {
    #[serde(rename = "discounts.given")]
    Given { organisation_id: OrganisationId, discount: Discount, at: Timestamp },
    #[serde(rename = "discounts.withdrawn")]
    Withdrawn { discount_id: DiscountId, at: Timestamp },
}

domain_event!(DiscountEvent {
    Given => "discounts.given", 1;
    Withdrawn => "discounts.withdrawn", 1;
});

impl Texts for DiscountEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("organisation_id", Text::Kept),
        ("discount.discount_id", Text::Kept),
        ("discount.sku_id", Text::Kept),
        ("discount.ends_at", Text::Kept),
        ("discount.reason", Text::Said),
        ("discount_id", Text::Kept),
        ("at", Text::Kept),
    ];
}

/// What may be asked of an organisation's discounts.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum DiscountCommand {
    Give { organisation_id: OrganisationId, discount: Discount, at: Timestamp },
    Withdraw { discount_id: DiscountId, at: Timestamp },
}

/// Why a discount is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum DiscountError {
    #[error("a discount is more than 0 and at most 90 percent")]
    BadPercent,
    #[error("a discount ends later than it begins")]
    BadEnd,
    #[error("the SKU is none that could be: {0}")]
    BadSku(String),
    #[error("say why, in 1 to {REASON_MAX} characters")]
    NoReason,
    #[error("an organisation has at most {IN_FORCE_MAX} discounts at once")]
    Full,
    #[error("there is no such discount")]
    Unknown,
    #[error("the id was used before for something else")]
    IdReused,
}

impl Refusal for DiscountError {
    fn code(&self) -> &'static str {
        match self {
            Self::BadPercent | Self::BadEnd => "discount_invalid",
            Self::BadSku(_) => "sku_id_invalid",
            Self::NoReason => "reason_needed",
            Self::Full => "discounts_full",
            Self::Unknown => "unknown_discount",
            Self::IdReused => "id_reused",
        }
    }
}

/// A discount as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Standing {
    pub discount: Discount,
    pub given_at: Timestamp,
    pub withdrawn_at: Option<Timestamp>,
}

/// What an organisation pays less.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Discounts {
    pub organisation_id: Option<OrganisationId>,
    /// Every one that was ever given, by its id: in the order of giving.
    pub given: BTreeMap<String, Standing>,
}

impl Decider for Discounts {
    const TYPE: &'static str = "discounts";
    type Command = DiscountCommand;
    type Event = DiscountEvent;
    type Error = DiscountError;

    fn decide(&self, command: DiscountCommand) -> Result<Vec<DiscountEvent>, DiscountError> {
        match command {
            DiscountCommand::Give { organisation_id, discount, at } => {
                self.give(organisation_id, discount, at)
            }
            DiscountCommand::Withdraw { discount_id, at } => {
                let known = self.given.get(&discount_id.to_string());
                match known.ok_or(DiscountError::Unknown)?.withdrawn_at {
                    Some(_) => Ok(vec![]),
                    None => Ok(vec![DiscountEvent::Withdrawn { discount_id, at }]),
                }
            }
        }
    }

    fn evolve(mut self, event: DiscountEvent) -> Self {
        match event {
            DiscountEvent::Given { organisation_id, discount, at } => {
                self.organisation_id = Some(organisation_id);
                let id = discount.discount_id.to_string();
                let standing = Standing { discount, given_at: at, withdrawn_at: None };
                self.given.insert(id, standing);
            }
            DiscountEvent::Withdrawn { discount_id, at } => {
                if let Some(standing) = self.given.get_mut(&discount_id.to_string()) {
                    standing.withdrawn_at = Some(at);
                }
            }
        }
        self
    }

    fn subject(&self) -> Option<Subject> {
        self.organisation_id.map(Subject::organisation)
    }
}

cqrs_aggregate!(Discounts);

impl Standing {
    /// Whether new rentals get it.
    #[must_use]
    pub fn is_in_force(&self, at: Timestamp) -> bool {
        self.withdrawn_at.is_none() && self.discount.ends_at.is_none_or(|ends_at| at < ends_at)
    }
}

impl Discounts {
    /// What a rental of a SKU that begins at `at` gets.
    #[must_use]
    pub fn discount_at(&self, sku_id: &str, at: Timestamp) -> Option<&Discount> {
        let fits = |standing: &&Standing| {
            let of = standing.discount.sku_id.as_deref();
            standing.is_in_force(at) && of.is_none_or(|of| of == sku_id)
        };
        // Of equals the last is found, so that the first given comes last.
        let fitting = self.given.values().filter(fits).map(|standing| &standing.discount).rev();
        fitting.max_by_key(|discount| discount.basis_points)
    }

    fn give(
        &self,
        organisation_id: OrganisationId,
        discount: Discount,
        at: Timestamp,
    ) -> Result<Vec<DiscountEvent>, DiscountError> {
        if let Some(known) = self.given.get(&discount.discount_id.to_string()) {
            let same = known.discount == discount && self.organisation_id == Some(organisation_id);
            return if same { Ok(vec![]) } else { Err(DiscountError::IdReused) };
        }
        if !(1..=DISCOUNT_BPS_MAX).contains(&discount.basis_points) {
            return Err(DiscountError::BadPercent);
        }
        if discount.ends_at.is_some_and(|ends_at| ends_at <= at) {
            return Err(DiscountError::BadEnd);
        }
        if let Some(sku_id) = &discount.sku_id {
            check_sku_id(sku_id).map_err(|error| DiscountError::BadSku(error.to_string()))?;
        }
        if !(1..=REASON_MAX).contains(&discount.reason.trim().chars().count()) {
            return Err(DiscountError::NoReason);
        }
        if self.given.values().filter(|standing| standing.is_in_force(at)).count() >= IN_FORCE_MAX {
            return Err(DiscountError::Full);
        }
        Ok(vec![DiscountEvent::Given { organisation_id, discount, at }])
    }
}
