//! Spending limits of projects: how much the rentals of one may use in a calendar month (UTC). They stand beside the limits of the whole wallet,
//! and whichever leaves less room holds.
//!
//! A hold says in which project its rental is. Whatever counts in the month of the wallet counts in that project too, and what is in none in the
//! whole alone: so all of them together are the whole, and a month of a project is never another than the wallet's.
use cairn_core::money::format_nanos;
use cairn_core::{Currency, HoldId, Month, Nanos, OrganisationId, ProjectId, Timestamp};

use crate::events::WalletEvent;
use crate::spending::{SpendingLimit, SpendingLimits};
use crate::wallet::Wallet;
use crate::wishes::WalletError;

impl Wallet {
    /// Used in a project, in the month of an instant or in the latest one when that is over.
    #[must_use]
    pub fn spent_in(&self, project_id: ProjectId, at: Timestamp) -> Nanos {
        let month = Month::of(at).ok().max(self.spending.month);
        let known = self.projects.get(&project_id).filter(|it| it.month >= month);
        known.map_or(0, |it| it.spent_nanos)
    }

    /// As they were set last for a project.
    #[must_use]
    pub fn limits_of(&self, project_id: ProjectId) -> SpendingLimits {
        self.projects.get(&project_id).map(|it| it.limits).unwrap_or_default()
    }

    /// How much more the limit of a project lets be set aside in the month of an instant; none is as much as there is.
    #[must_use]
    pub fn room_in(&self, project_id: ProjectId, at: Timestamp) -> Option<Nanos> {
        let stop_nanos = self.limits_of(project_id).stop_nanos?;
        let of_it = self.holds.values().filter(|hold| hold.project_id == Some(project_id));
        let held_nanos: Nanos = of_it.map(crate::wallet::Hold::remaining_nanos).sum();
        Some((stop_nanos - self.spent_in(project_id, at) - held_nanos).max(0))
    }

    /// What a project has no room for is refused, though the whole has.
    pub(crate) fn fits_in(
        &self,
        project_id: Option<ProjectId>,
        amount_nanos: Nanos,
        at: Timestamp,
    ) -> Result<(), WalletError> {
        let Some(project_id) = project_id else { return Ok(()) };
        match self.room_in(project_id, at) {
            Some(room_nanos) if room_nanos < amount_nanos => {
                let (room, wanted) = (format_nanos(room_nanos), format_nanos(amount_nanos));
                Err(WalletError::ProjectLimitReached { project_id, room, wanted })
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(crate) fn set_project_limits(
        &self,
        (organisation_id, currency): (OrganisationId, Currency),
        project_id: ProjectId,
        limits: SpendingLimits,
        at: Timestamp,
    ) -> Result<Vec<WalletEvent>, WalletError> {
        self.checked((organisation_id, currency), limits)?;
        if limits == self.limits_of(project_id) {
            return Ok(vec![]);
        }
        let set =
            WalletEvent::ProjectLimitsSet { organisation_id, currency, project_id, limits, at };
        let mut wallet = self.clone();
        wallet.projects.entry(project_id).or_default().set(limits);
        Ok([set].into_iter().chain(wallet.warned_in(Some(project_id), at)).collect())
    }

    /// That as much was used in a project as somebody wanted to know of, once a month.
    pub(crate) fn warned_in(
        &self,
        project_id: Option<ProjectId>,
        at: Timestamp,
    ) -> Option<WalletEvent> {
        let project_id = project_id?;
        let limit_nanos = self.limits_of(project_id).warn_nanos?;
        let is_reached = self.spent_in(project_id, at) >= limit_nanos;
        let reached = || self.reached_in(project_id, (SpendingLimit::Warn, limit_nanos), at);
        is_reached.then(reached).flatten()
    }

    fn reached_in(
        &self,
        project_id: ProjectId,
        (limit, limit_nanos): (SpendingLimit, Nanos),
        at: Timestamp,
    ) -> Option<WalletEvent> {
        let month = Month::of(at).ok().max(self.spending.month)?;
        let was_told = self.projects.get(&project_id).is_some_and(|it| it.was_told(limit, month));
        let spent_nanos = self.spent_in(project_id, at);
        let told = WalletEvent::ProjectLimitReached {
            project_id,
            limit,
            month,
            limit_nanos,
            spent_nanos,
            at,
        };
        (!was_told).then_some(told)
    }

    /// Which stops stand in the way of an amount, as far as they were not told.
    pub(crate) fn stopped(
        &self,
        project_id: Option<ProjectId>,
        wanted_nanos: Nanos,
        at: Timestamp,
    ) -> Vec<WalletEvent> {
        let is_short = |room: Option<Nanos>| room.is_some_and(|nanos| nanos < wanted_nanos);
        let whole = self.spending.limits.stop_nanos.filter(|_| is_short(self.room_at(at)));
        let whole = whole.and_then(|stop| self.reached(SpendingLimit::Stop, stop, at));
        let project = project_id.filter(|id| is_short(self.room_in(*id, at))).and_then(|id| {
            let stop_nanos = self.limits_of(id).stop_nanos?;
            self.reached_in(id, (SpendingLimit::Stop, stop_nanos), at)
        });
        whole.into_iter().chain(project).collect()
    }

    /// What was used under a hold, in the month and in the hold's project. What the month does not count, its project does not either.
    pub(crate) fn count(&mut self, hold_id: HoldId, amount_nanos: Nanos, at: Timestamp) {
        let project_id = self.hold(hold_id).ok().and_then(|hold| hold.project_id);
        if self.spending.use_up(amount_nanos, at)
            && let Some(project_id) = project_id
        {
            self.projects.entry(project_id).or_default().use_up(amount_nanos, at);
        }
    }

    /// What is remembered of projects and their limits.
    pub(crate) fn take_project(&mut self, told: WalletEvent) {
        use WalletEvent as E;
        if let E::HoldAssigned { hold_id, project_id } = told {
            self.with_hold(hold_id, |hold| hold.project_id = Some(project_id));
        } else if let E::ProjectLimitsSet {
            organisation_id, currency, project_id, limits, ..
        } = told
        {
            self.owner = Some((organisation_id, currency));
            self.projects.entry(project_id).or_default().set(limits);
        } else if let E::ProjectLimitReached { project_id, limit, month, .. } = told {
            self.spending.begin(Some(month));
            self.projects.entry(project_id).or_default().tell(limit, month);
        }
    }
}
