//! An automatic top-up: when it takes money, and above all when it does not.
use std::collections::BTreeSet;

use cairn_core::testing::{decide_both_ways, given};
use cairn_core::{Currency, Decider, Month, Nanos, OrganisationId, PaymentId, Timestamp};
use cairn_payments::auto_top_up::{BACK_OFF_SECS, is_for_good};
use cairn_payments::{
    AutoTopUp, AutoTopUpCommand as Command, AutoTopUpError, AutoTopUpEvent as Event, AutoTopUpLook,
    Pace, SetAutoTopUp, Standing, Terms,
};
use proptest::prelude::*;

const UNIT: Nanos = 1_000_000_000;
const ORGANISATION: OrganisationId = OrganisationId::from_bits(1);
const PACE: Pace = Pace { pause_secs: 600, burst: 3 };
/// Ten days before the end of a month.
const START: i64 = 1_790_000_000;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(START + secs)
}

fn terms(threshold: i64, amount: i64, cap: i64) -> Terms {
    Terms {
        threshold_nanos: threshold * UNIT,
        amount_nanos: amount * UNIT,
        monthly_cap_nanos: cap * UNIT,
    }
}

fn set(enabled: bool, terms: Option<Terms>, at: Timestamp) -> Command {
    Command::Set(SetAutoTopUp {
        organisation_id: ORGANISATION,
        currency: Currency::USD,
        enabled,
        terms,
        payment_method: Some("pm_1".to_owned()),
        at,
    })
}

fn payment(attempt: u32) -> PaymentId {
    PaymentId::from_bits(u128::from(attempt))
}

fn look(attempt: u32, available: i64, at: Timestamp) -> Command {
    Command::Look(AutoTopUpLook {
        available_nanos: available * UNIT,
        next: (attempt, payment(attempt)),
        pace: PACE,
        at,
    })
}

fn decline(attempt: u32, code: &str, at: Timestamp) -> Command {
    Command::Decline { payment_id: payment(attempt), code: code.to_owned(), at }
}

fn succeed(attempt: u32, at: Timestamp) -> Command {
    Command::Succeed { payment_id: payment(attempt), pace: PACE, at }
}

/// The state after commands, none of which is refused, and the events of the last one.
fn after(commands: impl IntoIterator<Item = Command>) -> (AutoTopUp, Vec<Event>) {
    commands.into_iter().fold((AutoTopUp::default(), vec![]), |(state, _), command| {
        let events = decide_both_ways(state.clone(), command).events();
        (state.evolve_all(events.clone()), events)
    })
}

fn enabled() -> Command {
    set(true, Some(terms(5, 20, 50)), at(0))
}

#[test]
fn what_runs_low_is_filled_once() {
    let (state, events) = after([enabled(), look(1, 5, at(1))]);
    assert_eq!((events, state.attempts), (vec![], 0), "the threshold itself is enough");
    let (state, events) = after([enabled(), look(1, 4, at(1))]);
    let [Event::Begun { amount_nanos, payment_id, .. }] = events[..] else { panic!("{events:?}") };
    assert_eq!((amount_nanos, payment_id), (20 * UNIT, payment(1)));
    assert_eq!(state.decide(look(1, 0, at(2))).unwrap(), vec![], "who looked too late");
    assert_eq!(state.decide(look(2, 0, at(2))).unwrap(), vec![], "one is in flight");
}

#[test]
fn after_a_success_it_pauses_and_counts_what_was_taken() {
    let (state, events) = after([enabled(), look(1, 4, at(1)), succeed(1, at(5))]);
    assert!(
        matches!(events[..], [Event::Succeeded { taken_nanos, .. }] if taken_nanos == 20 * UNIT)
    );
    assert_eq!(state.not_before(at(6)), Some(at(605)));
    assert_eq!(state.decide(look(2, 0, at(604))).unwrap(), vec![]);
    assert_eq!(state.decide(look(2, 0, at(605))).unwrap().len(), 1);
    assert_eq!(state.decide(succeed(1, at(9))).unwrap(), vec![], "told again");
    assert_eq!(state.decide(succeed(7, at(9))), Err(AutoTopUpError::Unknown));
}

#[test]
fn beyond_the_cap_nothing_is_taken_and_it_is_told_once_a_month() {
    let taken = [
        enabled(),
        look(1, 4, at(1)),
        succeed(1, at(2)),
        look(2, 4, at(700)),
        succeed(2, at(701)),
        look(3, 4, at(1_400)),
    ];
    let (state, events) = after(taken);
    let month = Month::of(at(0)).unwrap();
    let [Event::CapReached { taken_nanos, again_at, .. }] = events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((taken_nanos, again_at), (40 * UNIT, month.ends_at()));
    assert_eq!(state.not_before(at(1_400)), Some(month.ends_at()));
    assert_eq!(state.decide(look(3, 0, at(1_500))).unwrap(), vec![]);
    let next = state.decide(look(3, 0, month.ends_at())).unwrap();
    assert!(matches!(next[..], [Event::Begun { month: begun, .. }] if begun == month.next()));
    let raised = state.decide(set(true, Some(terms(5, 20, 60)), at(1_500))).unwrap();
    let raised = state.evolve_all(raised);
    assert_eq!(raised.decide(look(3, 0, at(1_501))).unwrap().len(), 1, "a higher cap has room");
}

#[test]
fn each_decline_waits_longer_and_the_last_one_suspends() {
    let (mut state, _) = after([enabled()]);
    let mut now = at(1);
    for (attempt, wait) in (1..).zip(BACK_OFF_SECS) {
        for command in [look(attempt, 0, now), decline(attempt, "card_declined", now)] {
            let events = state.decide(command).unwrap();
            assert_eq!(events.len(), 1, "{events:?}");
            state = state.evolve_all(events);
        }
        assert_eq!(state.not_before(now), Some(now.plus_secs(wait)));
        let early = look(attempt + 1, 0, now.plus_secs(wait - 1));
        assert_eq!(state.decide(early).unwrap(), vec![]);
        now = now.plus_secs(wait);
    }
    state = state.clone().evolve_all(state.decide(look(4, 0, now)).unwrap());
    let events = state.decide(decline(4, "card_declined", now)).unwrap();
    assert!(
        matches!(
            &events[..],
            [Event::Declined { again_at: None, .. }, Event::Suspended { declines: 4, .. }]
        ),
        "{events:?}"
    );
    state = state.evolve_all(events);
    let later = now.plus_secs(90 * 86_400);
    assert_eq!(state.decide(look(5, 0, later)).unwrap(), vec![], "until somebody acts");
    state = state.clone().evolve_all(state.decide(set(true, None, later)).unwrap());
    assert_eq!(state.decide(look(5, 0, later)).unwrap().len(), 1);
}

#[test]
fn what_no_second_attempt_will_change_suspends_at_once() {
    for code in ["lost_card", "authentication_required", "subject_erased"] {
        let (state, events) = after([enabled(), look(1, 0, at(1)), decline(1, code, at(2))]);
        assert_eq!((events.len(), state.standing), (2, Standing::Suspended), "{code}");
        assert_eq!(state.reason.as_deref(), Some(code));
    }
    assert!(!is_for_good("card_declined"));
}

#[test]
fn a_burst_is_stopped_before_the_next_one_is_taken() {
    let mut commands = vec![set(true, Some(terms(5, 20, 1_000)), at(0))];
    for n in 1..=3 {
        let now = at(i64::from(n) * 700);
        commands.extend([look(n, 0, now), succeed(n, now)]);
    }
    let (state, events) = after(commands.into_iter().chain([look(4, 0, at(2_800))]));
    assert!(matches!(events[..], [Event::Stopped { successes: 3, .. }]), "{events:?}");
    assert_eq!(state.decide(look(4, 0, at(900_000))).unwrap(), vec![], "not by itself");
    let again = state.decide(set(true, None, at(900_000))).unwrap();
    assert_eq!(again.len(), 1, "the same terms are an answer to it");
    let state = state.evolve_all(again);
    assert_eq!(state.decide(look(4, 0, at(900_000))).unwrap().len(), 1);
}

#[test]
fn a_payment_that_is_taken_after_all_counts() {
    let story = [enabled(), look(1, 0, at(1)), decline(1, "card_declined", at(2))];
    let (state, _) = after(story.into_iter().chain([succeed(1, at(60))]));
    assert_eq!(state.taken_in(Month::of(at(0)).unwrap()), 20 * UNIT);
    assert_eq!((state.declines, state.declined_until), (0, None), "the card works");
    assert_eq!(state.decide(succeed(1, at(61))).unwrap(), vec![]);
    assert_eq!(state.decide(look(2, 0, at(61))).unwrap(), vec![], "it pauses as after any");
}

#[test]
fn what_makes_no_sense_is_refused_by_its_name() {
    let wish = |terms| given::<AutoTopUp>([]).state().decide(set(true, terms, at(0)));
    let refusal = |terms| wish(Some(terms)).unwrap_err();
    let code = |terms| cairn_core::Refusal::code(&refusal(terms));
    assert_eq!(code(terms(0, 20, 50)), "auto_top_up_invalid");
    assert_eq!(code(terms(5, 20, 19)), "auto_top_up_invalid");
    assert_eq!(code(terms(5, 0, 19)), "amount_out_of_range");
    let cents = Terms { amount_nanos: 20 * UNIT + 1, ..terms(5, 20, 50) };
    assert_eq!(code(cents), "not_whole_minor_units");
    assert!(matches!(wish(None), Err(AutoTopUpError::Incomplete(_))));
    let (state, _) = after([enabled()]);
    assert_eq!(state.decide(enabled()).unwrap(), vec![], "said again");
    assert_eq!(state.decide(set(true, None, at(9))).unwrap(), vec![], "what is absent stays");
}

/// One step of a history: what is done, and how many seconds later.
#[derive(Debug, Clone)]
enum Step {
    Look { available: i64 },
    Succeed,
    SucceedLate,
    Decline { code: &'static str },
    Set { enabled: bool, terms: Option<Terms> },
}

fn step() -> impl Strategy<Value = (Step, i64)> {
    let codes = prop_oneof![4 => Just("card_declined"), 1 => Just("lost_card")];
    let any_terms = (1..10_i64, 1..5_i64, 0..6_i64)
        .prop_map(|(threshold, amount, more)| terms(threshold, amount * 10, (amount + more) * 10));
    let step = prop_oneof![
        6 => (0..12_i64).prop_map(|available| Step::Look { available }),
        5 => Just(Step::Succeed),
        1 => Just(Step::SucceedLate),
        2 => codes.prop_map(|code| Step::Decline { code }),
        2 => (prop::bool::weighted(0.8), prop::option::of(any_terms))
            .prop_map(|(enabled, terms)| Step::Set { enabled, terms }),
    ];
    let wait = prop_oneof![4 => 0..900_i64, 2 => 900..30_000_i64, 1 => 30_000..2_000_000_i64];
    (step, wait)
}

/// What an observer keeps of a history, by the events alone.
#[derive(Debug, Default)]
struct Observer {
    in_flight: Option<(PaymentId, Month, Nanos)>,
    begun: BTreeSet<PaymentId>,
    /// Of the month in which they were begun, those that were declined and came after all left out.
    taken: std::collections::BTreeMap<Month, Nanos>,
    late: std::collections::BTreeMap<Month, Nanos>,
    declined: Vec<(PaymentId, Month, Nanos)>,
    quiet_until: Option<Timestamp>,
    waits_until: Option<Timestamp>,
    successes: Vec<Timestamp>,
    is_on: bool,
    cap: Nanos,
}

impl Observer {
    fn begins(&mut self, event: &Event, at: Timestamp) {
        let Event::Begun { payment_id, amount_nanos, month, .. } = event else { return };
        assert!(self.is_on, "after a stop, a suspension, or an end");
        assert_eq!(self.in_flight, None, "two in flight");
        assert!(self.begun.insert(*payment_id), "one payment for two attempts");
        assert!(self.quiet_until.is_none_or(|until| at >= until), "within the pause");
        assert!(self.waits_until.is_none_or(|until| at >= until), "within the wait");
        let recent = self.successes.iter().filter(|then| at.secs_since(**then) < 3_600).count();
        assert!(recent < 3, "the fourth within an hour");
        let sum = |of: &std::collections::BTreeMap<Month, Nanos>| of.get(month).copied();
        let before = sum(&self.taken).unwrap_or(0) + sum(&self.late).unwrap_or(0);
        assert!(before + amount_nanos <= self.cap, "beyond the cap");
        self.in_flight = Some((*payment_id, *month, *amount_nanos));
    }

    fn sees(&mut self, event: &Event, at: Timestamp) {
        self.begins(event, at);
        match event {
            Event::Begun { .. } | Event::CapReached { .. } => {}
            Event::Succeeded { payment_id, month, amount_nanos, .. } => {
                let (sums, is_late) = match self.in_flight {
                    Some((id, ..)) if id == *payment_id => (&mut self.taken, false),
                    _ => (&mut self.late, true),
                };
                *sums.entry(*month).or_default() += amount_nanos;
                if !is_late {
                    self.in_flight = None;
                }
                self.declined.retain(|(id, ..)| id != payment_id);
                self.successes.push(at);
                self.quiet_until = Some(at.plus_secs(PACE.pause_secs));
                self.waits_until = None;
            }
            Event::Declined { again_at, .. } => {
                self.declined.extend(self.in_flight.take());
                self.waits_until = *again_at;
            }
            Event::Suspended { .. } => self.is_on = false,
            Event::Stopped { .. } => {
                self.is_on = false;
                self.successes.clear();
            }
            Event::Set { enabled, terms, .. } => {
                (self.is_on, self.waits_until) = (*enabled, None);
                self.cap = terms.map_or(0, |terms| terms.monthly_cap_nanos);
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_it_takes_no_more_than_it_may(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        let (mut state, _) = after([]);
        let (mut observer, mut now) = (Observer::default(), at(0));
        for (step, wait) in steps {
            now = now.plus_secs(wait);
            let underway = state.in_flight.as_ref().map(|it| it.payment_id);
            let command = match step {
                Step::Look { available } => Command::Look(AutoTopUpLook {
                    available_nanos: available * UNIT,
                    next: (state.attempts + 1, payment(state.attempts + 1)),
                    pace: PACE,
                    at: now,
                }),
                Step::Set { enabled, terms } => set(enabled, terms, now),
                Step::Succeed => match underway {
                    Some(payment_id) => Command::Succeed { payment_id, pace: PACE, at: now },
                    None => continue,
                },
                Step::SucceedLate => match state.declined.keys().next() {
                    Some(id) => Command::Succeed { payment_id: *id, pace: PACE, at: now },
                    None => continue,
                },
                Step::Decline { code } => match underway {
                    Some(payment_id) => {
                        Command::Decline { payment_id, code: code.to_owned(), at: now }
                    }
                    None => continue,
                },
            };
            for event in state.decide(command).unwrap_or_default() {
                observer.sees(&event, now);
                state = state.evolve(event);
            }
            let begun = observer.in_flight.map(|(id, ..)| id);
            prop_assert_eq!(state.in_flight.as_ref().map(|it| it.payment_id), begun);
        }
        for (month, taken) in &observer.taken {
            prop_assert!(*taken <= 100 * UNIT, "{} in {}", taken, month);
        }
    }
}
