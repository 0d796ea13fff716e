//! Alerts: of what whoever sees to the money wants to be told, each as often as it comes about.
//!
//! A sum used in a month is told once in that month. A balance below an amount is told when it falls below, and again only after it was there;
//! one that is below when the alert is set has not fallen.
use cairn_core::money::format_nanos;
use cairn_core::{Currency, Decider as _, Month, Nanos, OrganisationId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::events::WalletEvent;
use crate::wallet::Wallet;
use crate::wishes::{WalletCommand, WalletError};

/// Alerts that one wallet may have.
pub const ALERTS_MAX: usize = 10;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertOn {
    /// As much was used in the calendar month (UTC).
    Spent,
    /// Less than that is left, what is set aside included.
    BalanceBelow,
}

/// Of what somebody wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Alert {
    pub on: AlertOn,
    pub amount_nanos: Nanos,
}

/// The alerts of a wallet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Alerts {
    /// As they were set last.
    pub wanted: Vec<Alert>,
    /// Of these, what was told: a sum in which month, a balance until it is there again.
    pub told: Vec<(Alert, Month)>,
}

impl Alerts {
    /// Whether it was told, as far as an instant is concerned.
    #[must_use]
    pub fn was_told(&self, alert: Alert, month: Month) -> bool {
        let still = |told: Month| match alert.on {
            AlertOn::Spent => told >= month,
            AlertOn::BalanceBelow => true,
        };
        self.told.iter().any(|(known, told)| *known == alert && still(*told))
    }

    pub(crate) fn tell(&mut self, alert: Alert, month: Month) {
        self.told.retain(|(known, _)| *known != alert);
        self.told.push((alert, month));
    }

    fn rearm(&mut self, funds_nanos: Nanos) {
        self.told.retain(|(alert, _)| match alert.on {
            AlertOn::Spent => true,
            AlertOn::BalanceBelow => funds_nanos < alert.amount_nanos,
        });
    }
}

impl WalletCommand {
    /// When it is asked; none for what only makes money available again.
    pub(crate) const fn at(&self) -> Option<Timestamp> {
        match self {
            Self::TopUp(top_up) => Some(top_up.at),
            Self::PlaceHold(place) => Some(place.at),
            Self::CaptureHold(capture) | Self::CaptureLate { capture, .. } => Some(capture.at),
            Self::CorrectCharge(correct) => Some(correct.at),
            Self::GrantCredit(grant) => Some(grant.at),
            Self::LoseDisputed(loss) => Some(loss.at),
            Self::ReserveRefund(reserve) => Some(reserve.at),
            Self::ReleaseHold { at, .. }
            | Self::SweepExpired { at }
            | Self::HoldDisputed { at, .. }
            | Self::CreditUsage { at, .. }
            | Self::SetSpendingLimits { at, .. }
            | Self::SetProjectLimits { at, .. }
            | Self::SetAlerts { at, .. }
            | Self::ReturnRefund { at, .. } => Some(*at),
            Self::ReleaseDisputed { .. } => None,
        }
    }
}

impl Wallet {
    /// What is left of what was paid in and given, what is set aside for rentals included.
    #[must_use]
    pub fn left_nanos(&self) -> Nanos {
        let disputed_nanos: Nanos = self.disputes.values().map(|it| it.held_nanos).sum();
        self.posted_nanos + self.promotional.posted_nanos() - disputed_nanos
    }

    pub(crate) fn set_alerts(
        &self,
        (organisation_id, currency): (OrganisationId, Currency),
        mut alerts: Vec<Alert>,
        at: Timestamp,
    ) -> Result<Vec<WalletEvent>, WalletError> {
        if self.owner.is_some_and(|owner| owner != (organisation_id, currency)) {
            return Err(WalletError::IdReused);
        }
        alerts.sort_unstable();
        if alerts.len() > ALERTS_MAX {
            return Err(WalletError::TooManyAlerts);
        }
        if alerts.iter().any(|alert| alert.amount_nanos <= 0) {
            return Err(WalletError::AmountNotPositive);
        }
        if let Some(twice) = alerts.windows(2).find(|two| two[0] == two[1]) {
            return Err(WalletError::AlertTwice(format_nanos(twice[0].amount_nanos)));
        }
        if alerts == self.alerts.wanted {
            return Ok(vec![]);
        }
        Ok(vec![WalletEvent::AlertsSet { organisation_id, currency, alerts, at }])
    }

    /// What is remembered of them. A balance that is below already counts as told.
    pub(crate) fn want_alerts(&mut self, alerts: Vec<Alert>, at: Timestamp) {
        let left_nanos = self.left_nanos();
        let before = std::mem::replace(&mut self.alerts.wanted, alerts);
        let Alerts { wanted, told } = &mut self.alerts;
        told.retain(|(alert, _)| wanted.contains(alert));
        let Ok(month) = Month::of(at) else { return };
        let is_below =
            |alert: &Alert| alert.on == AlertOn::BalanceBelow && left_nanos < alert.amount_nanos;
        let new = wanted.iter().filter(|alert| !before.contains(alert) && is_below(alert));
        told.extend(new.map(|alert| (*alert, month)));
    }

    /// A balance that is there again may fall again.
    pub(crate) fn rearmed(mut self) -> Self {
        if !self.alerts.told.is_empty() {
            self.alerts.rearm(self.left_nanos());
        }
        self
    }

    /// What is remembered of limits and alerts, as they are set and told.
    pub(crate) fn take_told(&mut self, told: WalletEvent) {
        use WalletEvent as E;
        if let E::SpendingLimitsSet { organisation_id, currency, limits, .. } = told {
            self.owner = Some((organisation_id, currency));
            self.spending.set(limits);
        } else if let E::SpendingReached { limit, month, .. } = told {
            self.spending.tell(limit, month);
        } else if let E::AlertsSet { organisation_id, currency, alerts, at } = told {
            self.owner = Some((organisation_id, currency));
            self.want_alerts(alerts, at);
        } else if let E::AlertReached { alert, month, .. } = told {
            self.alerts.tell(alert, month);
        } else {
            self.take_project(told);
        }
    }

    /// What has happened, and of what in it somebody wants to be told.
    pub(crate) fn with_alerts(
        &self,
        mut events: Vec<WalletEvent>,
        at: Option<Timestamp>,
    ) -> Vec<WalletEvent> {
        let sets = matches!(events.first(), Some(WalletEvent::AlertsSet { .. }));
        if events.is_empty() || (self.alerts.wanted.is_empty() && !sets) {
            return events;
        }
        let Some((at, month)) = at.and_then(|at| Some((at, Month::of(at).ok()?))) else {
            return events;
        };
        let after = self.clone().evolve_all(events.clone());
        let month = after.spending.month.map_or(month, |latest| latest.max(month));
        let (spent_nanos, left_nanos) = (after.spending.spent_at(at), after.left_nanos());
        for alert in after.alerts.wanted.iter().copied() {
            let (is_due, seen_nanos) = match alert.on {
                AlertOn::Spent => (spent_nanos >= alert.amount_nanos, spent_nanos),
                AlertOn::BalanceBelow => (left_nanos < alert.amount_nanos, left_nanos),
            };
            if is_due && !after.alerts.was_told(alert, month) {
                events.push(WalletEvent::AlertReached { alert, month, seen_nanos, at });
            }
        }
        events
    }
}
