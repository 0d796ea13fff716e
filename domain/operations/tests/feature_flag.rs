//! The rules of a feature flag.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{Decider, OrganisationId, Timestamp};
use cairn_operations::{FeatureFlag, FeatureFlagCommand};
use proptest::prelude::*;

const AT: Timestamp = Timestamp::from_secs(1_000);

fn organisation(number: u128) -> OrganisationId {
    OrganisationId::from_bits(number)
}

fn define(flag: &str, description: &str) -> FeatureFlagCommand {
    let (flag, description) = (flag.to_owned(), description.to_owned());
    FeatureFlagCommand::Define { flag, description, at: AT }
}

fn roll_out(percentage: u8) -> FeatureFlagCommand {
    FeatureFlagCommand::RollOut { percentage, reason: "because".to_owned(), at: AT }
}

fn decide_for(number: u128, on: bool) -> FeatureFlagCommand {
    let organisation_id = organisation(number);
    FeatureFlagCommand::Override { organisation_id, on, reason: "because".to_owned(), at: AT }
}

fn clear(number: u128) -> FeatureFlagCommand {
    let organisation_id = organisation(number);
    FeatureFlagCommand::ClearOverride { organisation_id, reason: "because".to_owned(), at: AT }
}

fn archive() -> FeatureFlagCommand {
    FeatureFlagCommand::Archive { reason: "because".to_owned(), at: AT }
}

fn after(history: &[FeatureFlagCommand]) -> FeatureFlag {
    history.iter().cloned().fold(FeatureFlag::default(), |state, command| {
        let events = state.decide(command).unwrap();
        events.into_iter().fold(state, FeatureFlag::evolve)
    })
}

fn check(history: &[FeatureFlagCommand], command: FeatureFlagCommand) -> When<FeatureFlag> {
    decide_both_ways(after(history), command)
}

/// A flag of this name, on for so many of a hundred.
fn flag(name: &str, percentage: u8) -> FeatureFlag {
    after(&[define(name, "A trial"), roll_out(percentage)])
}

#[test]
fn a_flag_is_defined_once_and_is_off() {
    assert_eq!(check(&[], define("trial", "A trial")).events().len(), 1);
    check(&[define("trial", "A trial")], define("trial", "A trial")).then([]);
    check(&[define("trial", "A trial")], define("trial", "Another"))
        .then_refused("feature_flag_exists");
    assert!(!after(&[define("trial", "A trial")]).is_on_for(organisation(1)));
    for wrong in ["", "Trial", "1st", "a-b", "a b", &"a".repeat(61)] {
        check(&[], define(wrong, "A trial")).then_refused("feature_flag_name_invalid");
    }
    for wrong in ["", " ", &"x".repeat(501)] {
        check(&[], define("trial", wrong)).then_refused("feature_flag_description_invalid");
    }
}

#[test]
fn what_is_already_so_is_no_change() {
    let history = [define("trial", "A trial"), roll_out(20), decide_for(1, true)];
    check(&history, roll_out(20)).then([]);
    check(&history, decide_for(1, true)).then([]);
    check(&history, clear(2)).then([]);
    assert_eq!(check(&history, roll_out(21)).events().len(), 1);
    assert_eq!(check(&history, decide_for(1, false)).events().len(), 1);
    assert_eq!(check(&history, clear(1)).events().len(), 1);
    check(&history, roll_out(101)).then_refused("feature_flag_percentage_invalid");
}

#[test]
fn every_change_needs_a_flag_and_a_reason() {
    for command in [roll_out(1), decide_for(1, true), clear(1), archive()] {
        check(&[], command).then_refused("unknown_feature_flag");
    }
    let silent = FeatureFlagCommand::RollOut { percentage: 1, reason: " ".to_owned(), at: AT };
    check(&[define("trial", "A trial")], silent).then_refused("reason_needed");
}

#[test]
fn an_archived_flag_is_off_for_good() {
    let history = [define("trial", "A trial"), roll_out(100), decide_for(1, true), archive()];
    assert!(after(&history[..3]).is_on_for(organisation(2)));
    for number in [1, 2] {
        assert!(!after(&history).is_on_for(organisation(number)));
    }
    check(&history, archive()).then([]);
    for command in [roll_out(1), decide_for(1, true), clear(1), define("trial", "A trial")] {
        check(&history, command).then_refused("feature_flag_archived");
    }
}

#[test]
fn an_override_decides_for_its_organisation_alone() {
    for percentage in [0, 100] {
        let on = percentage == 100;
        let history = [define("trial", "A trial"), roll_out(percentage), decide_for(1, !on)];
        assert_eq!(after(&history).is_on_for(organisation(1)), !on);
        assert_eq!(after(&history).is_on_for(organisation(2)), on);
        let cleared = [&history[..], &[clear(1)]].concat();
        assert_eq!(after(&cleared).is_on_for(organisation(1)), on);
    }
}

#[test]
fn overrides_are_for_few() {
    let mut full = flag("trial", 0);
    full.overrides = (0..1_000).map(|number| (organisation(number), true)).collect();
    decide_both_ways(full.clone(), decide_for(1_000, true))
        .then_refused("feature_flag_overrides_full");
    assert_eq!(decide_both_ways(full, decide_for(999, false)).events().len(), 1);
}

#[test]
fn an_organisation_keeps_its_bucket_across_versions_of_this_program() {
    let on = |percentage: u8| {
        let flag = flag("trial", percentage);
        (1..=40_u128).filter(|number| flag.is_on_for(organisation(*number))).collect::<Vec<_>>()
    };
    assert_eq!(on(10), [9, 22, 28, 34, 38, 39]);
}

#[test]
fn two_flags_choose_different_organisations() {
    let (one, two) = (flag("one", 50), flag("two", 50));
    let both = |id: &u128| one.is_on_for(organisation(*id)) && two.is_on_for(organisation(*id));
    let both = (0..10_000).filter(both).count();
    assert!((2_200..=2_800).contains(&both), "a quarter of 10,000 is not {both}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// So many of a hundred: within five standard deviations over 2,000 organisations.
    #[test]
    fn the_share_is_the_percentage(name in "[a-z][a-z0-9_]{0,20}", percentage in 0_u8..=100, from: u64) {
        let flag = flag(&name, percentage);
        let ids = (0..2_000).map(|number| organisation(u128::from(from) << 20 | number));
        let on = ids.filter(|id| flag.is_on_for(*id)).count() as f64;
        let (share, count) = (f64::from(percentage) / 100.0, 2_000.0);
        let apart = (on - share * count).abs();
        prop_assert!(apart <= 5.0 * (share * (1.0 - share) * count).sqrt(), "{on} for {percentage} %");
    }

    #[test]
    fn raising_the_percentage_switches_nobody_off(name in "[a-z][a-z0-9_]{0,20}", low in 0_u8..=100, high in 0_u8..=100, number: u128) {
        let (low, high) = (low.min(high), low.max(high));
        let id = organisation(number);
        prop_assert!(!flag(&name, low).is_on_for(id) || flag(&name, high).is_on_for(id));
    }
}
