//! Alerts: of what whoever sees to the money wants to be told, each as often as it comes about.
//!
//! A sum used in a month is told once in that month. A balance below an amount is told when it falls below, and again only after it was there;
//! one that is below when the alert is set has not fallen.
//!
//! A project may have alerts as well, of what is used in it: it has no balance.
use cairn_core::money::format_nanos;
use cairn_core::{Currency, Decider as _, Month, Nanos, OrganisationId, ProjectId, Timestamp};
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
            | Self::SetProjectAlerts { at, .. }
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
        alerts: Vec<Alert>,
        at: Timestamp,
    ) -> Result<Vec<WalletEvent>, WalletError> {
        let alerts = self.sensible((organisation_id, currency), alerts)?;
        if alerts == self.alerts.wanted {
            return Ok(vec![]);
        }
        Ok(vec![WalletEvent::AlertsSet { organisation_id, currency, alerts, at }])
    }

    pub(crate) fn set_project_alerts(
        &self,
        (organisation_id, currency): (OrganisationId, Currency),
        project_id: ProjectId,
        alerts: Vec<Alert>,
        at: Timestamp,
    ) -> Result<Vec<WalletEvent>, WalletError> {
        let alerts = self.sensible((organisation_id, currency), alerts)?;
        if let Some(below) = alerts.iter().find(|alert| alert.on == AlertOn::BalanceBelow) {
            return Err(WalletError::ProjectHasNoBalance(format_nanos(below.amount_nanos)));
        }
        if alerts == self.alerts_of(project_id).wanted {
            return Ok(vec![]);
        }
        let set =
            WalletEvent::ProjectAlertsSet { organisation_id, currency, project_id, alerts, at };
        Ok(vec![set])
    }

    /// As they were set last for a project.
    #[must_use]
    pub fn alerts_of(&self, project_id: ProjectId) -> Alerts {
        self.project_alerts.get(&project_id).cloned().unwrap_or_default()
    }

    /// Alerts that can be meant, in order.
    fn sensible(
        &self,
        owner: (OrganisationId, Currency),
        mut alerts: Vec<Alert>,
    ) -> Result<Vec<Alert>, WalletError> {
        if self.owner.is_some_and(|known| known != owner) {
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
        Ok(alerts)
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

    /// The same of a project. One that has none is not remembered.
    fn want_project_alerts(&mut self, project_id: ProjectId, alerts: Vec<Alert>) {
        let mut known = self.project_alerts.remove(&project_id).unwrap_or_default();
        known.told.retain(|(alert, _)| alerts.contains(alert));
        known.wanted = alerts;
        if !known.wanted.is_empty() {
            self.project_alerts.insert(project_id, known);
        }
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
        } else if let E::ProjectAlertsSet {
            organisation_id, currency, project_id, alerts, ..
        } = told
        {
            self.owner = Some((organisation_id, currency));
            self.want_project_alerts(project_id, alerts);
        } else if let E::ProjectAlertReached { project_id, alert, month, .. } = told {
            self.project_alerts.entry(project_id).or_default().tell(alert, month);
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
        use WalletEvent as E;
        let sets = matches!(events.first(), Some(E::AlertsSet { .. } | E::ProjectAlertsSet { .. }));
        let has_any = !self.alerts.wanted.is_empty() || !self.project_alerts.is_empty();
        if events.is_empty() || !(has_any || sets) {
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
                events.push(E::AlertReached { alert, month, seen_nanos, at });
            }
        }
        events.extend(after.due_in_projects(month, at));
        events
    }

    /// What is used in projects, as far as somebody wants to be told of it and was not.
    fn due_in_projects(
        &self,
        month: Month,
        at: Timestamp,
    ) -> impl Iterator<Item = WalletEvent> + '_ {
        self.project_alerts.iter().flat_map(move |(project_id, alerts)| {
            let (project_id, spent_nanos) = (*project_id, self.spent_in(*project_id, at));
            let is_due = move |alert: &Alert| {
                spent_nanos >= alert.amount_nanos && !alerts.was_told(*alert, month)
            };
            alerts.wanted.iter().copied().filter(is_due).map(move |alert| {
                WalletEvent::ProjectAlertReached { project_id, alert, month, spent_nanos, at }
            })
        })
    }
}
