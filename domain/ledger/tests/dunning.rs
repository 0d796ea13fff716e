//! Dunning: what is told when money runs out, when it is told, and that nothing is told twice.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::decide_both_ways;
use cairn_core::{Currency, Decider, OrganisationId, Timestamp};
use cairn_ledger::dunning::runway_secs;
use cairn_ledger::{Assessment, Dunning, DunningCommand, DunningEvent, Stage};
use proptest::prelude::*;

const HOUR: i64 = 3_600;

/// One that costs 1 an hour runs, and there is enough for so many hours.
fn hours(funds: i64, at_hour: i64) -> Assessment {
    Assessment {
        organisation_id: OrganisationId::from_bits(1),
        currency: Currency::EUR,
        funds_nanos: funds,
        nanos_per_hour: 1,
        lasts_secs: None,
        running: 1,
        suspended: 0,
        refused: false,
        suspended_secs: 72 * HOUR,
        retention_secs: 168 * HOUR,
        at: Timestamp::from_secs(at_hour * HOUR),
    }
}

fn suspended(funds: i64, at_hour: i64) -> Assessment {
    Assessment { nanos_per_hour: 0, running: 0, suspended: 1, ..hours(funds, at_hour) }
}

fn assess(dunning: Dunning, seen: Assessment) -> (Dunning, Vec<DunningEvent>) {
    let events = dunning.decide(DunningCommand::Assess(seen)).unwrap();
    let dunning = events.iter().cloned().fold(dunning, Dunning::evolve);
    assert_eq!(dunning.decide(DunningCommand::Assess(seen)), Ok(vec![]), "nothing is told twice");
    (dunning, events)
}

/// What each look tells: the stage it goes to, the step of the runway it goes to.
fn told(looks: &[Assessment]) -> Vec<(Option<Stage>, Option<Option<u32>>)> {
    let mut dunning = Dunning::default();
    let mut all = vec![];
    for seen in looks {
        let (after, events) = assess(dunning, *seen);
        dunning = after;
        let stage = events.iter().find_map(|event| match event {
            DunningEvent::StageChanged { to, .. } => Some(*to),
            DunningEvent::RunwayCrossed { .. } => None,
        });
        let hours = events.iter().find_map(|event| match event {
            DunningEvent::RunwayCrossed { to_hours, .. } => Some(*to_hours),
            DunningEvent::StageChanged { .. } => None,
        });
        all.push((stage, hours));
    }
    all
}

#[test]
fn a_runway_is_told_at_72_24_and_2_hours_and_once_each() {
    let looks = [100, 73, 72, 50, 24, 3, 2, 1, 0].map(|left| hours(left, 100 - left));
    let expected = [
        (None, None),
        (None, None),
        (Some(Stage::Low), Some(Some(72))),
        (None, None),
        (None, Some(Some(24))),
        (None, None),
        (None, Some(Some(2))),
        (None, None),
        (None, None),
    ];
    assert_eq!(told(&looks), expected);
}

#[test]
fn who_has_little_from_the_beginning_is_told_the_nearest_step_only() {
    assert_eq!(told(&[hours(10, 0)]), [(Some(Stage::Low), Some(Some(24)))]);
}

#[test]
fn a_longer_runway_is_told_when_it_is_longer_by_a_tenth() {
    let looks = [hours(70, 0), hours(73, 1), hours(72, 2), hours(80, 3), hours(72, 4)];
    let expected = [
        (Some(Stage::Low), Some(Some(72))),
        (Some(Stage::Ok), None),
        (Some(Stage::Low), None),
        (Some(Stage::Ok), Some(None)),
        (Some(Stage::Low), Some(Some(72))),
    ];
    assert_eq!(told(&looks), expected);
}

#[test]
fn an_empty_wallet_goes_through_every_stage_and_data_is_kept_for_both_periods() {
    let refused = Assessment { refused: true, ..hours(0, 1) };
    let looks = [
        hours(1, 0),
        refused,
        suspended(0, 2),
        suspended(0, 2 + 71),
        suspended(0, 2 + 72),
        suspended(0, 2 + 72 + 167),
        suspended(0, 2 + 72 + 168),
        Assessment { suspended: 0, ..suspended(0, 2 + 72 + 169) },
        Assessment { suspended: 0, ..suspended(50, 2 + 72 + 170) },
    ];
    let stages: Vec<_> = told(&looks).into_iter().map(|(stage, _)| stage).collect();
    let expected = [
        Some(Stage::Low),
        Some(Stage::Grace),
        Some(Stage::Suspended),
        None,
        Some(Stage::Retention),
        None,
        Some(Stage::Released),
        None,
        Some(Stage::Ok),
    ];
    assert_eq!(stages, expected);
}

#[test]
fn who_pays_while_suspended_begins_anew() {
    let looks = [suspended(0, 0), suspended(0, 72), hours(100, 73), suspended(0, 200)];
    let stages: Vec<_> = told(&looks).into_iter().map(|(stage, _)| stage).collect();
    let expected = [Stage::Suspended, Stage::Retention, Stage::Ok, Stage::Suspended].map(Some);
    assert_eq!(stages, expected);
    let (dunning, _) = looks
        .into_iter()
        .fold((Dunning::default(), vec![]), |(dunning, _), seen| assess(dunning, seen));
    assert_eq!(dunning.until, Some(Timestamp::from_secs((200 + 72) * HOUR)));
}

#[test]
fn facts_of_another_wallet_are_refused() {
    let (dunning, _) = assess(Dunning::default(), hours(1, 0));
    let other = Assessment { currency: Currency::USD, ..hours(1, 0) };
    decide_both_ways(dunning, DunningCommand::Assess(other)).then_refused("id_reused");
}

#[test]
fn a_runway_that_cannot_be_counted_is_none() {
    assert_eq!(runway_secs(7, 2), Some(12_600));
    assert_eq!(runway_secs(-7, 2), Some(0));
    assert_eq!(runway_secs(7, 0), None);
    assert_eq!(runway_secs(i64::MAX, 1), None);
    assert_eq!(runway_secs(i64::MAX, i64::MAX), Some(3_600));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(2_000),
        ..ProptestConfig::default()
    })]

    #[test]
    fn data_is_given_up_only_after_both_periods_without_money(
        looks in prop::collection::vec((0..200_i64, 0..3_u32, 0..3_u32, any::<bool>(), 1..50_i64), 1..60),
    ) {
        let (mut dunning, mut hour) = (Dunning::default(), 0);
        // Since when something has been suspended, at every look.
        let mut since = None;
        for (funds, running, suspended, refused, later) in looks {
            hour += later;
            let nanos_per_hour = i64::from(running);
            let seen = Assessment { nanos_per_hour, running, suspended, refused, ..hours(funds, hour) };
            since = if suspended > 0 { since.or(Some(hour)) } else { None };
            let before = dunning.stage;
            let (after, events) = assess(dunning, seen);
            dunning = after;
            prop_assert!(events.len() <= 2);
            if dunning.stage == Stage::Released && before != Stage::Released {
                let kept = hour - since.unwrap();
                prop_assert!(kept >= 72 + 168, "kept for {} hours only", kept);
            }
            if matches!(dunning.stage, Stage::Suspended | Stage::Retention) {
                prop_assert!(suspended > 0, "nothing is said to be suspended that is not");
            }
        }
    }
}
