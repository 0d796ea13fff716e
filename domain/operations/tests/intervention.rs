//! The rules of an intervention.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{Decider, Timestamp};
use cairn_operations::{Intervention, InterventionCommand, Verb};

const AT: Timestamp = Timestamp::from_secs(1_000);

fn call() -> InterventionCommand {
    InterventionCommand::Call {
        process: "rent_node".to_owned(),
        key: "alloc_1".to_owned(),
        intent: "teardown".to_owned(),
        error: "timeout".to_owned(),
        at: AT,
    }
}

fn resolve(verb: Verb, reason: &str) -> InterventionCommand {
    InterventionCommand::Resolve { verb, reason: reason.to_owned(), at: AT }
}

fn check(history: &[InterventionCommand], command: InterventionCommand) -> When<Intervention> {
    let state = history.iter().cloned().fold(Intervention::default(), |state, command| {
        let events = state.decide(command).unwrap();
        events.into_iter().fold(state, Intervention::evolve)
    });
    decide_both_ways(state, command)
}

#[test]
fn an_operator_is_called_once_until_somebody_resolves() {
    assert_eq!(check(&[], call()).events().len(), 1);
    check(&[call()], call()).then([]);
    let resolved = [call(), resolve(Verb::Retry, "network is back")];
    assert_eq!(check(&resolved, call()).events().len(), 1);
}

#[test]
fn every_verb_resolves_and_needs_a_reason() {
    for verb in [Verb::Retry, Verb::Skip, Verb::Abandon] {
        assert_eq!(check(&[call()], resolve(verb, "because")).events().len(), 1);
        check(&[call()], resolve(verb, "")).then_refused("reason_needed");
        check(&[call()], resolve(verb, &"x".repeat(501))).then_refused("reason_needed");
    }
}

#[test]
fn an_intent_that_does_not_wait_cannot_be_resolved() {
    check(&[], resolve(Verb::Retry, "because")).then_refused("intent_not_waiting");
    let resolved = [call(), resolve(Verb::Skip, "done by hand")];
    check(&resolved, resolve(Verb::Skip, "done by hand")).then_refused("intent_not_waiting");
}
