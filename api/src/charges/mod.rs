//! What a charge was made of, so that whoever paid it can do the sum again, without us.
//!
//! [`gather()`] reads the events that a charge comes from out of the log, each with its way into a sealed block. [`ChargeProof::check`] needs
//! nothing but that document and public keys: it checks every way, folds the rental's own events to the seconds that were metered, and
//! multiplies them with the price that the rental began with.
mod gather;
mod proof;

use std::str::FromStr;

pub use gather::{GatherError, gather, wallet_of};
pub use proof::{ChargeError, ChargeProof, Claim, FORMAT};

/// Names a charge: `charge_` and its position in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChargeId(pub i64);

/// Not the name of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a charge is called charge_ and a number, as the statement says")]
pub struct NoChargeId;

impl FromStr for ChargeId {
    type Err = NoChargeId;

    fn from_str(text: &str) -> Result<Self, NoChargeId> {
        let number = text.strip_prefix("charge_").ok_or(NoChargeId)?;
        let digits = number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0');
        number.parse().ok().filter(|_| digits).map(Self).ok_or(NoChargeId)
    }
}

impl std::fmt::Display for ChargeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "charge_{}", self.0)
    }
}
