//! Whatever is done to a sealed log is found where it was done, and nothing is found where nothing was.
#![allow(clippy::unwrap_used, reason = "a test")]
use cairn_seal::mutation::{ALL, programme};

/// `cargo xtask fuzz seal` runs ten thousand.
const ROUNDS: usize = 8;

#[test]
fn every_mutation_is_found_at_its_position_and_a_clean_log_raises_no_alarm() {
    let tally = programme(ROUNDS * ALL.len(), 20, 20_261_127);
    assert_eq!(tally.failures, Vec::<String>::new());
    assert_eq!(tally.found.len(), ALL.len());
    assert!(tally.found.values().all(|counts| *counts == (ROUNDS, ROUNDS)), "{tally:?}");
    assert_eq!((tally.clean, tally.false_alarms), (20, 0));
}
