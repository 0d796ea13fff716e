//! The rules of a running server's configuration.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{Decider, Timestamp};
use cairn_operations::{Configuration, ConfigurationCommand};

fn change(from: &str, to: &str) -> ConfigurationCommand {
    ConfigurationCommand::Change {
        setting: "logging.filter".to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
        said_in: "cairn.toml:7".to_owned(),
        at: Timestamp::from_secs(1_000),
    }
}

fn after(history: &[ConfigurationCommand]) -> Configuration {
    history.iter().cloned().fold(Configuration::default(), |state, command| {
        let events = state.decide(command).unwrap();
        events.into_iter().fold(state, Configuration::evolve)
    })
}

fn check(history: &[ConfigurationCommand], command: ConfigurationCommand) -> When<Configuration> {
    decide_both_ways(after(history), command)
}

#[test]
fn every_change_is_told_one_that_was_made_before_as_well() {
    assert_eq!(check(&[], change("info", "debug")).events().len(), 1);
    assert_eq!(check(&[change("info", "debug")], change("info", "debug")).events().len(), 1);
    let both = after(&[change("info", "debug"), change("debug", "warn")]);
    assert_eq!(both.changed["logging.filter"], "warn");
}

#[test]
fn what_stays_as_it_is_is_no_change() {
    check(&[], change("info", "info")).then([]);
}
