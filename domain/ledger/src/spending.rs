//! Spending limits: how much may be used in a calendar month (UTC), and what is told when it is.
//!
//! What was used counts whole, taxes and what promotional credit paid for included. A stop keeps more from being set aside; what was used is
//! charged all the same. The month is the latest that anything of the wallet was counted in, so what comes late changes nothing that was told.
use cairn_core::money::format_nanos;
use cairn_core::{Currency, Month, Nanos, OrganisationId, ProjectId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::events::WalletEvent;
use crate::wallet::Wallet;
use crate::wishes::WalletError;

/// How much may be used in a month; none is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SpendingLimits {
    /// From there on somebody is told.
    pub warn_nanos: Option<Nanos>,
    /// Up to there money may be set aside.
    pub stop_nanos: Option<Nanos>,
}

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpendingLimit {
    /// As much was used as somebody wanted to know of.
    Warn,
    /// More was to be set aside than may be.
    Stop,
}

/// What is remembered of the month.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spending {
    /// As they were set last.
    pub limits: SpendingLimits,
    /// The latest month in which anything was used or told.
    pub month: Option<Month>,
    /// Used in it.
    pub spent_nanos: Nanos,
    /// What was told in it.
    pub told: Vec<SpendingLimit>,
}

impl Spending {
    /// Used in the month of an instant, or in the latest one when that is over.
    #[must_use]
    pub fn spent_at(&self, at: Timestamp) -> Nanos {
        let is_new = Month::of(at).ok() > self.month;
        if is_new { 0 } else { self.spent_nanos }
    }

    pub(crate) fn begin(&mut self, month: Option<Month>) {
        if month > self.month {
            (self.month, self.spent_nanos) = (month, 0);
            self.told.clear();
        }
    }

    /// Less than nothing is given back of it. Whether it counts: what comes late does not.
    pub(crate) fn use_up(&mut self, amount_nanos: Nanos, at: Timestamp) -> bool {
        let month = Month::of(at).ok();
        self.begin(month);
        let counts = month == self.month;
        if counts {
            self.spent_nanos = (self.spent_nanos + amount_nanos).max(0);
        }
        counts
    }

    pub(crate) fn was_told(&self, limit: SpendingLimit, month: Month) -> bool {
        self.month == Some(month) && self.told.contains(&limit)
    }

    /// What was told of a limit that stays as it is, stays told.
    pub(crate) fn set(&mut self, limits: SpendingLimits) {
        let before = std::mem::replace(&mut self.limits, limits);
        self.told.retain(|limit| match limit {
            SpendingLimit::Warn => before.warn_nanos == limits.warn_nanos,
            SpendingLimit::Stop => before.stop_nanos == limits.stop_nanos,
        });
    }

    pub(crate) fn tell(&mut self, limit: SpendingLimit, month: Month) {
        self.begin(Some(month));
        self.told.push(limit);
    }
}

impl Wallet {
    /// How much more may be set aside in the month of an instant; none is as much as there is.
    #[must_use]
    pub fn room_at(&self, at: Timestamp) -> Option<Nanos> {
        let stop_nanos = self.spending.limits.stop_nanos?;
        let disputed_nanos: Nanos = self.disputes.values().map(|it| it.held_nanos).sum();
        let held_nanos = self.held_nanos + self.promotional.held_nanos - disputed_nanos;
        Some((stop_nanos - self.spending.spent_at(at) - held_nanos).max(0))
    }

    /// Of what is available, how much may be set aside for something in a project, or in none.
    pub(crate) fn usable_at(&self, project_id: Option<ProjectId>, at: Timestamp) -> Nanos {
        let rooms = [self.room_at(at), project_id.and_then(|id| self.room_in(id, at))];
        rooms.into_iter().flatten().fold(self.available_nanos(), Nanos::min)
    }

    /// Whether limits make sense, and are of this wallet.
    pub(crate) fn checked(
        &self,
        owner: (OrganisationId, Currency),
        limits: SpendingLimits,
    ) -> Result<(), WalletError> {
        if self.owner.is_some_and(|known| known != owner) {
            return Err(WalletError::IdReused);
        }
        let SpendingLimits { warn_nanos, stop_nanos } = limits;
        if warn_nanos.is_some_and(|nanos| nanos <= 0) || stop_nanos.is_some_and(|nanos| nanos < 0) {
            return Err(WalletError::AmountNotPositive);
        }
        match warn_nanos.zip(stop_nanos) {
            Some((warn_nanos, stop_nanos)) if warn_nanos > stop_nanos => {
                let (warn, stop) = (format_nanos(warn_nanos), format_nanos(stop_nanos));
                Err(WalletError::WarnAboveStop { warn, stop })
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(crate) fn set_spending_limits(
        &self,
        (organisation_id, currency): (OrganisationId, Currency),
        limits: SpendingLimits,
        at: Timestamp,
    ) -> Result<Vec<WalletEvent>, WalletError> {
        self.checked((organisation_id, currency), limits)?;
        if limits == self.spending.limits {
            return Ok(vec![]);
        }
        let set = WalletEvent::SpendingLimitsSet { organisation_id, currency, limits, at };
        let mut wallet = self.clone();
        wallet.spending.set(limits);
        Ok([set].into_iter().chain(wallet.warned(at)).collect())
    }

    /// That as much was used as somebody wanted to know of, once a month.
    pub(crate) fn warned(&self, at: Timestamp) -> Option<WalletEvent> {
        let limit_nanos = self.spending.limits.warn_nanos?;
        let is_reached = self.spending.spent_at(at) >= limit_nanos;
        is_reached.then(|| self.reached(SpendingLimit::Warn, limit_nanos, at)).flatten()
    }

    /// That a limit is reached, unless it was told this month.
    pub(crate) fn reached(
        &self,
        limit: SpendingLimit,
        limit_nanos: Nanos,
        at: Timestamp,
    ) -> Option<WalletEvent> {
        let month = Month::of(at).ok().max(self.spending.month)?;
        let was_told = self.spending.was_told(limit, month);
        let spent_nanos = self.spending.spent_at(at);
        let told = WalletEvent::SpendingReached { limit, month, limit_nanos, spent_nanos, at };
        (!was_told).then_some(told)
    }
}
