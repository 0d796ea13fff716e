//! What a rehearsal costs: a sum of what its events move, and the wallet before and after.
use cairn_compute::{Allocation, AllocationEvent, AllocationStatus, PinnedPrice};
use cairn_core::{Burn, Currency, Decider as _, Nanos, OrganisationId, Tax, Timestamp};
use cairn_ledger::{HoldStatus, Wallet, WalletEvent, wallet_id};

use super::Rehearsal;
use crate::processes::{Fact, Occurrence};
use crate::{Commands, ExecuteError};

/// What it costs one wallet. Sums are of what happens at once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Costs {
    pub organisation_id: OrganisationId,
    pub currency: Currency,
    /// What is rented from then on costs so much in an hour, tax included.
    pub price: Option<PinnedPrice>,
    /// The tax in that.
    pub tax: Option<Tax>,
    /// What it cost in an hour before, in the tier that it was in.
    pub per_hour_before_nanos: Option<Nanos>,
    /// More is set aside by so much; less when it is negative.
    pub set_aside_nanos: Nanos,
    /// Charged for usage, tax included; less than nothing is given back.
    pub charged_nanos: Nanos,
    /// The tax in that.
    pub charged_tax_nanos: Nanos,
    /// All that a rental that ends has cost.
    pub charged_in_all_nanos: Option<Nanos>,
    /// Paid in at the provider.
    pub paid_in_nanos: Nanos,
    /// Paid back by the provider.
    pub refunded_nanos: Nanos,
    pub available_before_nanos: Nanos,
    pub available_after_nanos: Nanos,
    /// When the money is used up, if everything that is rented then goes on.
    pub runs_out_at: Option<Timestamp>,
}

/// What is added up while events are read.
#[derive(Debug, Default)]
pub(super) struct Sum {
    wallet: Option<String>,
    pub(super) price: Option<PinnedPrice>,
    pub(super) tax: Option<Tax>,
    pub(super) per_hour_before_nanos: Option<Nanos>,
    set_aside_nanos: Nanos,
    charged_nanos: Nanos,
    charged_tax_nanos: Nanos,
    charged_in_all_nanos: Option<Nanos>,
    paid_in_nanos: Nanos,
    refunded_nanos: Nanos,
}

impl Sum {
    /// Adds what an event moves; `rental` is what it happens to, as it is.
    pub(super) fn add(&mut self, happened: &Occurrence, rental: Option<&Allocation>) {
        match &happened.fact {
            Fact::Wallet(event) => {
                self.wallet.get_or_insert_with(|| happened.stream.clone());
                self.add_wallet(event);
            }
            Fact::Allocation(event) => {
                self.add_allocation(event, rental);
                let theirs = rental.and_then(|it| it.organisation_id.zip(it.price));
                let theirs = theirs.map(|(owner, price)| wallet_id(owner, price.currency));
                self.wallet = self.wallet.take().or(theirs);
            }
            Fact::Node(_)
            | Fact::Dunning(_)
            | Fact::Payment(_)
            | Fact::AutoTopUp(_)
            | Fact::Refund(_)
            | Fact::Dispute(_)
            | Fact::Method(_)
            | Fact::CreditNote(_)
            | Fact::Invoice(_)
            | Fact::User(_)
            | Fact::Organisation(_)
            | Fact::Erasure(_)
            | Fact::Intervention(_)
            | Fact::Other => {}
        }
    }

    fn add_wallet(&mut self, event: &WalletEvent) {
        use WalletEvent as E;
        match event {
            E::HoldPlaced { amount_nanos, .. } | E::HoldExtended { amount_nanos, .. } => {
                self.set_aside_nanos += amount_nanos;
            }
            E::HoldReleased { amount_nanos, .. } | E::HoldExpired { amount_nanos, .. } => {
                self.set_aside_nanos -= amount_nanos;
            }
            E::UsageCaptured { amount_nanos, tax, .. } => {
                self.set_aside_nanos -= amount_nanos;
                self.charged_nanos += amount_nanos;
                self.charged_tax_nanos += tax.as_ref().map_or(0, |part| part.tax_nanos);
            }
            E::OverrunRecorded { amount_nanos, tax, .. } => {
                self.charged_nanos += amount_nanos;
                self.charged_tax_nanos += tax.as_ref().map_or(0, |part| part.tax_nanos);
            }
            E::UsageCorrected { amount_nanos, tax, .. } => {
                self.charged_nanos -= amount_nanos;
                self.charged_tax_nanos += tax.as_ref().map_or(0, |part| part.tax_nanos);
            }
            E::ToppedUp { amount_nanos, .. } => self.paid_in_nanos += amount_nanos,
            E::RefundReserved { amount_nanos, .. } => self.refunded_nanos += amount_nanos,
            E::HoldExtensionRefused { .. }
            | E::RefundReturned { .. }
            | E::CreditGranted { .. }
            | E::CreditExpired { .. }
            | E::PaymentDisputed { .. }
            | E::DisputeReleased { .. }
            | E::DisputeLost { .. }
            | E::UsageCredited { .. }
            | E::SpendingLimitsSet { .. }
            | E::SpendingReached { .. }
            | E::HoldAssigned { .. }
            | E::ProjectLimitsSet { .. }
            | E::ProjectLimitReached { .. }
            | E::AlertsSet { .. }
            | E::AlertReached { .. }
            | E::ProjectAlertsSet { .. }
            | E::ProjectAlertReached { .. } => {}
        }
    }

    fn add_allocation(&mut self, event: &AllocationEvent, rental: Option<&Allocation>) {
        match event {
            AllocationEvent::Requested { price, .. } => self.price = Some(*price),
            AllocationEvent::Taxed { tax, .. } => self.tax = Some(tax.clone()),
            AllocationEvent::Repriced { price, tax, .. }
            | AllocationEvent::ResizeRequested { price, tax, .. } => {
                let in_force = |rental: &Allocation| {
                    let used = rental.seconds_at_this_price();
                    Some(rental.price?.tariff().per_hour_at(used))
                };
                self.per_hour_before_nanos = rental.and_then(in_force);
                (self.price, self.tax) = (Some(*price), tax.clone());
            }
            AllocationEvent::Released { charged_nanos, .. } => {
                *self.charged_in_all_nanos.get_or_insert(0) += charged_nanos;
            }
            AllocationEvent::Assigned { .. }
            | AllocationEvent::ResizeReserved { .. }
            | AllocationEvent::Resized { .. }
            | AllocationEvent::ResizeFailed { .. }
            | AllocationEvent::ResizeSettled { .. }
            | AllocationEvent::Reserved { .. }
            | AllocationEvent::Rejected { .. }
            | AllocationEvent::ProvisioningStarted { .. }
            | AllocationEvent::StepCompleted { .. }
            | AllocationEvent::ProvisioningFailed { .. }
            | AllocationEvent::Activated { .. }
            | AllocationEvent::Failed { .. }
            | AllocationEvent::Metered { .. }
            | AllocationEvent::LateUsageProven { .. }
            | AllocationEvent::UsageCorrected { .. }
            | AllocationEvent::SuspensionRequested { .. }
            | AllocationEvent::Suspended { .. }
            | AllocationEvent::ResumeRequested { .. }
            | AllocationEvent::Resumed { .. }
            | AllocationEvent::ReleaseRequested { .. }
            | AllocationEvent::TeardownVerified { .. }
            | AllocationEvent::NeedsOperator { .. } => {}
        }
    }

    /// With the wallet before and after. None when no money is concerned.
    pub(super) async fn costs(
        self,
        rehearsal: &Rehearsal,
        at: Timestamp,
    ) -> Result<Option<Costs>, ExecuteError> {
        let Some(wallet_id) = self.wallet else { return Ok(None) };
        let imagined = &rehearsal.commands;
        let (after, sequence) = imagined.executor.load::<Wallet>(&wallet_id).await?;
        // As it was decided upon: a tick may have come since.
        let seen = rehearsal.imagined.truly(&wallet_id, sequence);
        let before = wallet_at(&rehearsal.truth, &wallet_id, seen).await?;
        let Some((organisation_id, currency)) = after.owner else { return Ok(None) };
        let lasts = burn(imagined, &after).await?.lasts(after.funds_at(at));
        Ok(Some(Costs {
            organisation_id,
            currency,
            price: self.price,
            tax: self.tax,
            per_hour_before_nanos: self.per_hour_before_nanos,
            set_aside_nanos: self.set_aside_nanos,
            charged_nanos: self.charged_nanos,
            charged_tax_nanos: self.charged_tax_nanos,
            charged_in_all_nanos: self.charged_in_all_nanos,
            paid_in_nanos: self.paid_in_nanos,
            refunded_nanos: self.refunded_nanos,
            available_before_nanos: before.available_at(at),
            available_after_nanos: after.available_at(at),
            runs_out_at: lasts.map(|seconds| at.plus_secs(seconds)),
        }))
    }
}

/// A wallet as it was after so many events.
async fn wallet_at(truth: &Commands, id: &str, sequence: i64) -> Result<Wallet, ExecuteError> {
    let events = truth.executor.log().load_some((Wallet::TYPE, id), 0, sequence).await?;
    let events = events.iter().map(|event| event.decode()).collect::<Result<Vec<_>, _>>()?;
    Ok(Wallet::default().evolve_all(events))
}

/// Everything that a wallet pays for, and that runs or is about to.
async fn burn(commands: &Commands, wallet: &Wallet) -> Result<Burn, ExecuteError> {
    let mut burn = Burn::default();
    for hold in wallet.holds.values().filter(|hold| hold.status != HoldStatus::Released) {
        let (rental, _) = commands.executor.load::<Allocation>(&hold.purpose).await?;
        if runs(rental.status) {
            let price = rental.price.into_iter();
            price.for_each(|price| burn.add(price.tariff(), rental.seconds_at_this_price()));
        }
    }
    Ok(burn)
}

/// Whether a rental costs something, or is about to.
pub(super) const fn runs(status: AllocationStatus) -> bool {
    match status {
        AllocationStatus::Requested
        | AllocationStatus::Reserved
        | AllocationStatus::Provisioning
        | AllocationStatus::Active
        | AllocationStatus::Resuming => true,
        AllocationStatus::Unknown
        | AllocationStatus::Suspending
        | AllocationStatus::Suspended
        | AllocationStatus::Compensating
        | AllocationStatus::Releasing
        | AllocationStatus::Settling
        | AllocationStatus::Released
        | AllocationStatus::Failed
        | AllocationStatus::Rejected => false,
    }
}
