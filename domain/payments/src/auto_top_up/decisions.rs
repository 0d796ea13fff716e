//! What follows from a wish, and what is remembered of it.
use cairn_core::{Month, Nanos, PaymentId, Timestamp};

use super::{
    Attempt, AutoTopUp, AutoTopUpCommand, AutoTopUpError, AutoTopUpEvent, AutoTopUpLook, Pace,
    SetAutoTopUp, Standing,
};

/// How long it waits after the first, the second and the third decline in a row. The next one suspends it.
pub const BACK_OFF_SECS: [i64; 3] = [3_600, 6 * 3_600, 24 * 3_600];
/// Within which successes are counted.
const BURST_SECS: i64 = 3_600;
/// Declines that no second attempt will change: the card is gone, or its holder has to be there.
const FOR_GOOD: [&str; 9] = [
    "authentication_required",
    "card_unusable",
    "expired_card",
    "lost_card",
    "payment_method_in_wrong_state",
    "payment_method_unactivated",
    "resource_missing",
    "subject_erased",
    "unknown_payment_method",
];

/// Whether a decline suspends at once.
#[must_use]
pub fn is_for_good(code: &str) -> bool {
    FOR_GOOD.contains(&code)
}

impl AutoTopUp {
    /// What was taken automatically, and is about to be, of the cap of a month.
    #[must_use]
    pub fn taken_in(&self, month: Month) -> Nanos {
        let taken = self.taken.filter(|(of, _)| *of == month).map_or(0, |(_, nanos)| nanos);
        let underway = self.in_flight.as_ref().filter(|attempt| attempt.month == month);
        taken + underway.map_or(0, |attempt| attempt.amount_nanos)
    }

    /// No attempt is begun before: it pauses after a success, waits after a decline, or for the next month.
    #[must_use]
    pub fn not_before(&self, at: Timestamp) -> Option<Timestamp> {
        let month = Month::of(at).ok();
        let capped = self.terms.zip(month).filter(|(terms, month)| {
            self.taken_in(*month).saturating_add(terms.amount_nanos) > terms.monthly_cap_nanos
        });
        let next_month = capped.map(|(_, month)| month.ends_at());
        let latest = self.paused_until.max(self.declined_until).max(next_month);
        latest.filter(|until| self.standing == Standing::On && *until > at)
    }

    pub(super) fn answer(
        &self,
        command: AutoTopUpCommand,
    ) -> Result<Vec<AutoTopUpEvent>, AutoTopUpError> {
        match command {
            AutoTopUpCommand::Set(wish) => self.set(wish),
            AutoTopUpCommand::Look(look) => Ok(self.look(&look).into_iter().collect()),
            AutoTopUpCommand::Succeed { payment_id, pace, at } => {
                self.succeed(payment_id, pace, at)
            }
            AutoTopUpCommand::Decline { payment_id, code, at } => {
                self.decline(payment_id, code, at)
            }
        }
    }

    fn set(&self, wish: SetAutoTopUp) -> Result<Vec<AutoTopUpEvent>, AutoTopUpError> {
        let SetAutoTopUp { organisation_id, currency, enabled, terms, payment_method, at } = wish;
        if self.owner.is_some_and(|owner| owner != (organisation_id, currency)) {
            return Err(AutoTopUpError::IdReused);
        }
        let terms = terms.or(self.terms);
        let payment_method = payment_method.or_else(|| self.payment_method.clone());
        if let Some(terms) = terms {
            terms.check(currency)?;
        }
        if enabled && terms.is_none() {
            return Err(AutoTopUpError::Incomplete("a threshold, an amount and a monthly cap"));
        }
        if enabled && payment_method.is_none() {
            return Err(AutoTopUpError::Incomplete("a payment method"));
        }
        let is_so = enabled == (self.standing == Standing::On)
            && (enabled || self.standing == Standing::Off)
            && (terms, &payment_method) == (self.terms, &self.payment_method);
        if is_so {
            return Ok(vec![]);
        }
        let set =
            AutoTopUpEvent::Set { organisation_id, currency, enabled, terms, payment_method, at };
        Ok(vec![set])
    }

    /// What a look at the wallet leads to, if anything.
    fn look(&self, look: &AutoTopUpLook) -> Option<AutoTopUpEvent> {
        let AutoTopUpLook { available_nanos, next: (attempt, payment_id), pace, at } = *look;
        let terms = self.terms.filter(|terms| available_nanos < terms.threshold_nanos)?;
        let waits = self.paused_until.max(self.declined_until).is_some_and(|until| at < until);
        // Whoever looked before somebody else began one has seen another wallet.
        let is_stale = attempt != self.attempts + 1;
        if self.standing != Standing::On || self.in_flight.is_some() || waits || is_stale {
            return None;
        }
        let recent = self.recent(at);
        if let (Some(since), true) = (recent.first(), recent.len() >= pace.burst.max(1) as usize) {
            let (successes, since) = (u32::try_from(recent.len()).unwrap_or(u32::MAX), *since);
            return Some(AutoTopUpEvent::Stopped { successes, since, available_nanos, at });
        }
        // A clock that was set back does not open a month again.
        let month = self.taken.map(|(month, _)| month).max(Month::of(at).ok())?;
        let (amount_nanos, monthly_cap_nanos) = (terms.amount_nanos, terms.monthly_cap_nanos);
        let taken_nanos = self.taken_in(month);
        if taken_nanos.saturating_add(amount_nanos) > monthly_cap_nanos {
            let is_told = self.cap_told == Some((month, monthly_cap_nanos));
            return (!is_told).then_some(AutoTopUpEvent::CapReached {
                month,
                monthly_cap_nanos,
                taken_nanos,
                amount_nanos,
                again_at: month.ends_at(),
                at,
            });
        }
        Some(AutoTopUpEvent::Begun {
            attempt,
            payment_id,
            amount_nanos,
            available_nanos,
            month,
            at,
        })
    }

    fn succeed(
        &self,
        payment_id: PaymentId,
        pace: Pace,
        at: Timestamp,
    ) -> Result<Vec<AutoTopUpEvent>, AutoTopUpError> {
        let underway = self.in_flight.as_ref().filter(|it| it.payment_id == payment_id);
        let underway = underway.map(|it| (it.month, it.amount_nanos));
        // The provider took after all what it had declined.
        let known = underway.or_else(|| self.declined.get(&payment_id).copied());
        let Some((month, amount_nanos)) = known else { return self.settled(payment_id) };
        let taken_nanos = self.taken.filter(|(of, _)| *of == month).map_or(0, |(_, nanos)| nanos);
        Ok(vec![AutoTopUpEvent::Succeeded {
            payment_id,
            amount_nanos,
            taken_nanos: taken_nanos.saturating_add(amount_nanos),
            month,
            paused_until: at.plus_secs(pace.pause_secs.max(0)),
            at,
        }])
    }

    fn decline(
        &self,
        payment_id: PaymentId,
        code: String,
        at: Timestamp,
    ) -> Result<Vec<AutoTopUpEvent>, AutoTopUpError> {
        let underway = self.in_flight.as_ref().filter(|it| it.payment_id == payment_id);
        let Some(Attempt { amount_nanos, .. }) = underway else {
            return self.settled(payment_id);
        };
        let declines = self.declines.saturating_add(1);
        let wait = BACK_OFF_SECS.get(self.declines as usize).filter(|_| !is_for_good(&code));
        let again_at = wait.map(|secs| at.plus_secs(*secs));
        let declined = AutoTopUpEvent::Declined {
            payment_id,
            amount_nanos: *amount_nanos,
            code: code.clone(),
            declines,
            again_at,
            at,
        };
        let suspends = again_at.is_none() && self.standing == Standing::On;
        let suspended = suspends.then_some(AutoTopUpEvent::Suspended { code, declines, at });
        Ok([declined].into_iter().chain(suspended).collect())
    }

    /// What ended before and is reported again is no news; what was never begun is an error.
    fn settled(&self, payment_id: PaymentId) -> Result<Vec<AutoTopUpEvent>, AutoTopUpError> {
        let was_last = self.last.as_ref().is_some_and(|it| it.payment_id == payment_id);
        if was_last || self.declined.contains_key(&payment_id) {
            return Ok(vec![]);
        }
        Err(AutoTopUpError::Unknown)
    }

    fn recent(&self, at: Timestamp) -> Vec<Timestamp> {
        let within = |then: &&Timestamp| at.secs_since(**then) < BURST_SECS;
        self.successes.iter().filter(within).copied().collect()
    }

    pub(super) fn remember(mut self, event: AutoTopUpEvent) -> Self {
        match event {
            AutoTopUpEvent::Set {
                organisation_id,
                currency,
                enabled,
                terms,
                payment_method,
                ..
            } => {
                if self.standing == Standing::Stopped {
                    self.successes.clear();
                }
                self.owner = Some((organisation_id, currency));
                self.standing = if enabled { Standing::On } else { Standing::Off };
                (self.terms, self.payment_method) = (terms, payment_method);
                (self.declines, self.declined_until, self.reason) = (0, None, None);
            }
            AutoTopUpEvent::Begun { attempt, payment_id, amount_nanos, month, at, .. } => {
                self.attempts = attempt;
                if self.taken.is_none_or(|(of, _)| of < month) {
                    self.taken = Some((month, 0));
                }
                self.in_flight = Some(Attempt {
                    payment_id,
                    amount_nanos,
                    month,
                    begun_at: at,
                    ended_at: None,
                    declined: None,
                });
            }
            AutoTopUpEvent::Succeeded {
                payment_id, taken_nanos, month, paused_until, at, ..
            } => {
                self.end(payment_id, None, at);
                self.declined.remove(&payment_id);
                if let Some(last) = self.last.as_mut().filter(|it| it.payment_id == payment_id) {
                    (last.ended_at, last.declined) = (Some(at), None);
                }
                if self.taken.is_some_and(|(of, _)| of == month) {
                    self.taken = Some((month, taken_nanos));
                }
                self.successes.push(at);
                self.successes = self.recent(at);
                (self.declines, self.declined_until) = (0, None);
                self.paused_until = self.paused_until.max(Some(paused_until));
            }
            AutoTopUpEvent::Declined { payment_id, amount_nanos, code, declines, again_at, at } => {
                if let Some(attempt) = &self.in_flight {
                    self.declined.insert(payment_id, (attempt.month, amount_nanos));
                }
                self.end(payment_id, Some(code), at);
                (self.declines, self.declined_until) = (declines, again_at);
            }
            AutoTopUpEvent::Suspended { code, .. } => {
                (self.standing, self.reason) = (Standing::Suspended, Some(code));
            }
            AutoTopUpEvent::Stopped { .. } => self.standing = Standing::Stopped,
            AutoTopUpEvent::CapReached { month, monthly_cap_nanos, .. } => {
                self.cap_told = Some((month, monthly_cap_nanos));
            }
        }
        self
    }

    fn end(&mut self, payment_id: PaymentId, declined: Option<String>, at: Timestamp) {
        if let Some(attempt) = self.in_flight.take_if(|it| it.payment_id == payment_id) {
            self.last = Some(Attempt { ended_at: Some(at), declined, ..attempt });
        }
    }
}
