//! The document, and the sum.
use cairn_compute::{Allocation, AllocationEvent, Due, PinnedDiscount, PinnedDisk};
use cairn_core::{
    AllocationId, Currency, Decider, HoldId, Nanos, StoredEvent, Tariff, TaxRate, Tiers, Timestamp,
    money::format_nanos,
};
use cairn_ledger::{TaxPart, Taxed, Wallet, WalletEvent, used};
use cairn_seal::{Proof, ProofError, PublicKeys, SealedEvent};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Names the layout of the document.
pub const FORMAT: &str = "cairn.charge.1";

/// A charge and the events that it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChargeProof {
    /// Names this layout.
    pub format: String,
    /// What is claimed; whoever checks computes it again.
    pub charge: Claim,
    /// The events, in the order of the log, each with its way into a sealed block.
    #[schema(value_type = Vec<Object>)]
    pub events: Vec<Proof>,
}

/// What a charge says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChargeClaim)]
pub struct Claim {
    /// Where in the log it is.
    pub position: i64,
    /// The rental.
    #[schema(value_type = String)]
    pub allocation_id: AllocationId,
    /// Of the wallet and of the price.
    #[schema(value_type = String)]
    pub currency: Currency,
    /// The version of the price that it is charged at.
    pub price_version: u32,
    /// Exact price of 3,600 seconds, in nanos; with tiers in the first of them.
    pub nanos_per_hour: Nanos,
    /// The tiers after the first: from so many seconds at this price on, 3,600 seconds cost so many nanos.
    #[serde(default, skip_serializing_if = "Tiers::is_none")]
    #[schema(value_type = Vec<Object>)]
    pub tiers: Tiers,
    /// Off the whole of it, in basis points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub discount: Option<PinnedDiscount>,
    /// What is charged beside it: so many GiB, each at so many nanos for 3,600 seconds, in every tier and with no discount off them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub disk: Option<PinnedDisk>,
    /// Since when the rental is proven to be ready.
    #[schema(value_type = String)]
    pub activated_at: Timestamp,
    /// How far its meter had come.
    #[schema(value_type = String)]
    pub metered_through: Timestamp,
    /// Of the time between, what no look at the node proves: not charged.
    pub unproven_seconds: i64,
    /// Of the time between, what it was suspended for: not charged.
    pub suspended_seconds: i64,
    /// Of the time between, what was metered and is taken back: not charged.
    #[serde(default, skip_serializing_if = "is_none")]
    pub corrected_seconds: i64,
    /// The rest.
    pub seconds: i64,
    /// `seconds × nanos_per_hour ÷ 3600`, the seconds of each tier at its own price, times `(10000 − basis_points) ÷ 10000`, plus `seconds × gib × nanos_per_gib_hour ÷ 3600`, rounded half to even once over the sum; of a rental that was moved to another price, what was charged at those before
    /// and that of the seconds since.
    pub total_nanos: Nanos,
    /// Of it, what was charged before.
    pub before_nanos: Nanos,
    /// Taken from the wallet now; less than nothing is given back.
    pub paid_nanos: Nanos,
    /// Owed since now, because neither hold nor wallet covered it; less than nothing is no longer owed.
    pub owed_nanos: Nanos,
    /// The tax in it, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<TaxClaim>,
}

const fn is_none(seconds: &i64) -> bool {
    *seconds == 0
}

impl Claim {
    /// What time costs at its price, without the discount.
    #[must_use]
    pub const fn list(&self) -> Tariff {
        Tariff { tiers: self.tiers, ..Tariff::flat(self.nanos_per_hour) }
    }
}

/// What a charge says of the tax in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChargeTax)]
pub struct TaxClaim {
    /// Who is owed it: ISO 3166.
    pub jurisdiction: String,
    /// Millionths of the net amount.
    pub ppm: u32,
    /// What of the charge is paid or owed, and not promotional credit, tax included.
    pub taxable_nanos: Nanos,
    /// Of it, tax.
    pub tax_nanos: Nanos,
    /// All that was charged at this rate until now.
    pub taxable_total_nanos: Nanos,
    /// Of it, tax: `taxable × ppm ÷ (1,000,000 + ppm)`, rounded half to even.
    pub tax_total_nanos: Nanos,
}

/// Why a charge is not proven.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChargeError {
    /// Not a document of this layout.
    #[error("this is no proof of a charge: {0}")]
    Malformed(String),
    /// An event is not in the log that the keys stand for.
    #[error("event {0} is not proven: {1}")]
    Event(i64, ProofError),
    /// An event that the sum needs is not there, or is none of this rental's.
    #[error("{0}")]
    Evidence(String),
    /// The events say something else than the charge.
    #[error("the charge says {what} is {claimed}, and the events make it {found}")]
    Differs {
        /// Of which number.
        what: &'static str,
        /// In the document.
        claimed: String,
        /// Computed.
        found: String,
    },
}

impl ChargeProof {
    /// Reads a document.
    ///
    /// # Errors
    /// [`ChargeError::Malformed`].
    pub fn from_json(text: &str) -> Result<Self, ChargeError> {
        let proof: Self = serde_json::from_str(text)
            .map_err(|error| ChargeError::Malformed(error.to_string()))?;
        if proof.format == FORMAT {
            Ok(proof)
        } else {
            let message = format!("its format is {}, not {FORMAT}", proof.format);
            Err(ChargeError::Malformed(message))
        }
    }

    /// Does the sum again, by the events alone, and checks that each of them is in the log that the keys stand for. That none was left
    /// out shows only who verifies the whole log.
    ///
    /// # Errors
    /// [`ChargeError`]: the first thing that is wrong.
    pub fn check(&self, keys: &PublicKeys) -> Result<(), ChargeError> {
        for proof in &self.events {
            let unproven = |error| ChargeError::Event(proof.event.position, error);
            proof.check(keys).map_err(unproven)?;
        }
        let events: Vec<&SealedEvent> = self.events.iter().map(|proof| &proof.event).collect();
        let found = claim(self.charge.position, &events)?;
        differs("the currency", self.charge.currency, found.currency)?;
        differs("the rental", self.charge.allocation_id, found.allocation_id)?;
        differs("the version of the price", self.charge.price_version, found.price_version)?;
        for (what, claimed, found) in [
            ("unproven seconds", self.charge.unproven_seconds, found.unproven_seconds),
            ("suspended seconds", self.charge.suspended_seconds, found.suspended_seconds),
            ("corrected seconds", self.charge.corrected_seconds, found.corrected_seconds),
            ("seconds", self.charge.seconds, found.seconds),
        ] {
            differs(what, claimed, found)?;
        }
        for (what, claimed, found) in [
            ("the price of an hour", self.charge.nanos_per_hour, found.nanos_per_hour),
            ("the total", self.charge.total_nanos, found.total_nanos),
            ("what was charged before", self.charge.before_nanos, found.before_nanos),
            ("what is paid", self.charge.paid_nanos, found.paid_nanos),
            ("what is owed", self.charge.owed_nanos, found.owed_nanos),
        ] {
            differs(what, format_nanos(claimed), format_nanos(found))?;
        }
        if self.charge.tiers != found.tiers {
            let told = |tiers: &Tiers| serde_json::to_string(tiers).unwrap_or_default();
            differs("the tiers", told(&self.charge.tiers), told(&found.tiers))?;
        }
        if self.charge.discount != found.discount {
            let told = |it: &Option<PinnedDiscount>| serde_json::to_string(it).unwrap_or_default();
            differs("the discount", told(&self.charge.discount), told(&found.discount))?;
        }
        if self.charge.disk != found.disk {
            let told = |it: &Option<PinnedDisk>| serde_json::to_string(it).unwrap_or_default();
            differs("the additional disk", told(&self.charge.disk), told(&found.disk))?;
        }
        if self.charge.tax != found.tax {
            let told = |tax: &Option<TaxClaim>| serde_json::to_string(tax).unwrap_or_default();
            differs("the tax", told(&self.charge.tax), told(&found.tax))?;
        }
        differs("the beginning", self.charge.activated_at, found.activated_at)?;
        differs("the end", self.charge.metered_through, found.metered_through)
    }
}

fn differs<T: PartialEq + ToString>(
    what: &'static str,
    claimed: T,
    found: T,
) -> Result<(), ChargeError> {
    if claimed == found {
        return Ok(());
    }
    Err(ChargeError::Differs { what, claimed: claimed.to_string(), found: found.to_string() })
}

/// A charge out of a wallet's stream: its hold, what it took, what it left owing, and all that the hold's purpose had cost by it.
pub(super) struct Charge {
    pub hold_id: HoldId,
    pub paid_nanos: Nanos,
    pub owed_nanos: Nanos,
    pub total_nanos: Nanos,
    pub seconds: i64,
    /// Of what it took and left owing, what is not promotional credit.
    pub taxable_nanos: Nanos,
    pub tax: Option<TaxPart>,
}

pub(super) fn charge(event: &SealedEvent) -> Result<Option<Charge>, ChargeError> {
    Ok(match decoded::<Wallet>(event)? {
        WalletEvent::UsageCaptured {
            hold_id,
            amount_nanos: paid_nanos,
            total_nanos,
            seconds,
            credits,
            tax,
            ..
        } => {
            let (owed_nanos, taxable_nanos) = (0, paid_nanos - used(&credits));
            Some(Charge {
                hold_id,
                paid_nanos,
                owed_nanos,
                total_nanos,
                seconds,
                taxable_nanos,
                tax,
            })
        }
        WalletEvent::OverrunRecorded {
            hold_id,
            amount_nanos: owed_nanos,
            total_nanos,
            seconds,
            tax,
            ..
        } => {
            let (paid_nanos, taxable_nanos) = (0, owed_nanos);
            Some(Charge {
                hold_id,
                paid_nanos,
                owed_nanos,
                total_nanos,
                seconds,
                taxable_nanos,
                tax,
            })
        }
        WalletEvent::UsageCorrected {
            hold_id,
            amount_nanos,
            owed_nanos,
            total_nanos,
            seconds,
            credits,
            tax,
            ..
        } => Some(Charge {
            hold_id,
            paid_nanos: owed_nanos - amount_nanos,
            owed_nanos: -owed_nanos,
            total_nanos,
            seconds,
            taxable_nanos: used(&credits) - amount_nanos,
            tax,
        }),
        _ => None,
    })
}

pub(super) fn decoded<A: Decider>(event: &SealedEvent) -> Result<A::Event, ChargeError> {
    let malformed = |why: String| {
        ChargeError::Evidence(format!("event {} cannot be read: {why}", event.position))
    };
    let version = event.event_version.parse().map_err(|_| malformed("no version".to_owned()))?;
    let payload = serde_json::from_str(&event.payload).map_err(|why| malformed(why.to_string()))?;
    A::Event::from_stored(&event.event_type, version, &payload)
        .map_err(|why| malformed(why.to_string()))
}

/// The sum, by events that are taken for true.
///
/// # Errors
/// [`ChargeError::Evidence`].
pub(super) fn claim(position: i64, events: &[&SealedEvent]) -> Result<Claim, ChargeError> {
    let missing = |what: &str| ChargeError::Evidence(format!("the proof lacks {what}"));
    let this = events.iter().find(|event| event.position == position);
    let this = this.ok_or_else(|| missing("the charge itself"))?;
    let of_wallet = |event: &&&SealedEvent| event.aggregate_id == this.aggregate_id;
    let mut now = Charge { paid_nanos: 0, owed_nanos: 0, ..its_charge(this)? };
    let (mut before_nanos, mut taxed, mut parts) = (0, None, vec![]);
    for event in events.iter().filter(of_wallet) {
        let Some(found) = charge(event)?.filter(|found| found.hold_id == now.hold_id) else {
            return Err(ChargeError::Evidence(format!(
                "event {} is no charge of this rental",
                event.position
            )));
        };
        if event.command_id == this.command_id {
            // What one tick charges may be paid in part and owed in part.
            now.paid_nanos += found.paid_nanos;
            now.owed_nanos += found.owed_nanos;
            now.total_nanos = now.total_nanos.max(found.total_nanos);
            parts.push((found.taxable_nanos, found.tax));
        } else {
            before_nanos = found.total_nanos.max(before_nanos);
            taxed = found.tax.map(TaxPart::taxed);
        }
    }
    let allocation_id = AllocationId::from_bits(now.hold_id.bits());
    let allocation = rental(allocation_id, (position, events))?;
    let (price, activated_at) =
        allocation.price.zip(allocation.activated_at).ok_or_else(|| missing("its activation"))?;
    let (_, currency) = this.aggregate_id.split_once(':').unwrap_or_default();
    differs("the currency of the wallet", currency, price.currency.code())?;
    let due = due(&allocation, now.seconds, now.paid_nanos + now.owed_nanos < 0)?;
    let sum = before_nanos + now.paid_nanos + now.owed_nanos;
    for claimed in [now.total_nanos, sum] {
        differs("the total", format_nanos(claimed), format_nanos(due.total_nanos))?;
    }
    let tax = tax(due.tax.as_ref(), taxed, parts)?;
    Ok(Claim {
        position,
        allocation_id,
        currency: price.currency,
        price_version: due.price.version,
        nanos_per_hour: due.price.nanos_per_hour,
        tiers: due.price.tiers,
        discount: due.price.discount,
        disk: due.price.disk,
        activated_at,
        metered_through: allocation.metered_at.unwrap_or(activated_at),
        unproven_seconds: allocation.unproven_seconds,
        suspended_seconds: allocation.idle_seconds,
        corrected_seconds: allocation.corrected_seconds,
        seconds: due.seconds,
        total_nanos: due.total_nanos,
        before_nanos,
        paid_nanos: now.paid_nanos,
        owed_nanos: now.owed_nanos,
        tax,
    })
}

/// What the rental says is due by so many seconds: at the price of now, or at the end of one before. What is given back may come down in more
/// than one entry, and not be at its end yet.
fn due(allocation: &Allocation, seconds: i64, gives_back: bool) -> Result<Due, ChargeError> {
    let evidence = |why: cairn_core::MoneyError| ChargeError::Evidence(why.to_string());
    let dues = allocation.dues().map_err(evidence)?;
    let now = allocation.metered_seconds();
    let mut found = dues.into_iter().rev().find(|due| due.seconds == seconds);
    if found.is_none() && gives_back {
        found = allocation.due_at(seconds).map_err(evidence)?;
    }
    found.map_or_else(
        || {
            differs("the seconds of the charge", seconds, now)?;
            Err(ChargeError::Evidence("the rental has no price".to_owned()))
        },
        Ok,
    )
}

/// The tax again, part by part: what one tick charges may be paid in part and owed in part.
fn tax(
    rate: Option<&TaxRate>,
    mut before: Option<Taxed>,
    parts: Vec<(Nanos, Option<TaxPart>)>,
) -> Result<Option<TaxClaim>, ChargeError> {
    let mut claim: Option<TaxClaim> = None;
    for (taxable_nanos, said) in parts {
        let part = rate.map(|rate| TaxPart::after(before.as_ref(), rate, taxable_nanos));
        if said != part {
            let told = |part: &Option<TaxPart>| serde_json::to_string(part).unwrap_or_default();
            differs("the tax of the charge", told(&said), told(&part))?;
        }
        let Some(part) = part else { continue };
        let earlier = claim.take().map_or((0, 0), |tax| (tax.taxable_nanos, tax.tax_nanos));
        claim = Some(TaxClaim {
            jurisdiction: part.rate.jurisdiction.clone(),
            ppm: part.rate.ppm,
            taxable_nanos: earlier.0 + part.taxable_nanos,
            tax_nanos: earlier.1 + part.tax_nanos,
            taxable_total_nanos: part.taxable_total_nanos,
            tax_total_nanos: part.tax_total_nanos,
        });
        before = Some(part.taxed());
    }
    Ok(claim)
}

fn its_charge(event: &SealedEvent) -> Result<Charge, ChargeError> {
    let none = || ChargeError::Evidence(format!("event {} is no charge", event.position));
    if event.aggregate_type != Wallet::TYPE {
        return Err(none());
    }
    charge(event)?.ok_or_else(none)
}

/// The rental as its own events until the charge make it.
fn rental(
    allocation_id: AllocationId,
    (position, events): (i64, &[&SealedEvent]),
) -> Result<Allocation, ChargeError> {
    let mut allocation = Allocation::default();
    let mut last = 0;
    let id = allocation_id.to_string();
    for event in events.iter().filter(|event| event.aggregate_type == Allocation::TYPE) {
        let ours = event.aggregate_id == id && event.position < position;
        if !ours || event.sequence <= last {
            let message =
                format!("event {} is none of this charge's, or out of order", event.position);
            return Err(ChargeError::Evidence(message));
        }
        last = event.sequence;
        allocation = allocation.evolve(decoded::<Allocation>(event)?);
    }
    Ok(allocation)
}

/// Which events of a rental the sum needs: its prices, where its meter began and went on, and the last reading before each of these and now.
pub(super) fn needed(facts: &[AllocationEvent]) -> Vec<usize> {
    use AllocationEvent as E;
    let mut needed = vec![];
    for (at, fact) in facts.iter().enumerate() {
        let read_again = || {
            let later = facts[at + 1..].iter();
            later
                .take_while(|later| !matches!(later, E::Resumed { .. }))
                .any(|later| matches!(later, E::Metered { .. }))
        };
        let wanted = match fact {
            E::Metered { .. } => !read_again(),
            E::Requested { .. }
            | E::Taxed { .. }
            | E::Repriced { .. }
            | E::Resized { .. }
            | E::LateUsageProven { .. }
            | E::UsageCorrected { .. }
            | E::Activated { .. }
            | E::Resumed { .. } => true,
            _ => false,
        };
        if wanted {
            needed.push(at);
        }
    }
    needed
}
