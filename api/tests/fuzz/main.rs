//! What comes from outside, or from the past, is read without falling over: whatever the bytes are, they are a value or a refusal.
//!
//! Each target has a small corpus; inputs are mutations of it, from a seed. It is a short programme with every test, and as long as
//! one likes by `cargo xtask fuzz`. Nothing measures coverage: the mutations know the shape of JSON, and nothing of the code.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod mutation;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use mutation::Mutations;
use targets::{TARGETS, Target};

/// Inputs of a target with every test.
const FEW: u64 = 3_000;

/// How far a programme came.
#[derive(Debug, Default)]
struct Run {
    inputs: u64,
    /// How many were a value, and not refused.
    values: u64,
}

fn run(target: &Target, seed: u64, goes_on: impl Fn(u64) -> bool) -> Run {
    let corpus = (target.corpus)();
    assert!(!corpus.is_empty(), "{} has no corpus", target.name);
    let mut run = Run::default();
    // First the corpus as it is.
    for input in &corpus {
        try_one(target, input, seed, &mut run);
    }
    let mut mutations = Mutations::new(seed, &corpus);
    while goes_on(run.inputs) {
        let input = mutations.next();
        try_one(target, &input, seed, &mut run);
    }
    run
}

fn try_one(target: &Target, input: &[u8], seed: u64, run: &mut Run) {
    let name = target.name;
    let read = catch_unwind(AssertUnwindSafe(|| (target.read)(input)));
    let Ok(is_value) = read else {
        panic!("{name}, seed {seed}, input {}: {:?}", run.inputs, String::from_utf8_lossy(input));
    };
    run.inputs += 1;
    run.values += u64::from(is_value);
}

#[test]
fn whatever_the_bytes_are_they_are_a_value_or_a_refusal() {
    for target in TARGETS {
        let run = run(target, 1, |inputs| inputs < FEW);
        // A corpus that nothing accepts, or mutations that break nothing, would say nothing.
        assert!(run.values > 0 && run.values < run.inputs, "{}: {run:?}", target.name);
    }
}

#[test]
fn a_target_that_falls_over_is_found_with_its_input() {
    let corpus = || vec![b"{\"a\": 1}".to_vec()];
    let read = |input: &[u8]| {
        assert!(!input.is_empty() && !input.windows(4).any(|word| word == b"null"), "it fell over");
        true
    };
    let weak = Target { name: "weak", corpus, read };
    let said = catch_unwind(|| run(&weak, 1, |inputs| inputs < 10_000)).unwrap_err();
    let said = said.downcast_ref::<String>().unwrap();
    assert!(said.starts_with("weak, seed 1, input "), "{said}");
}

/// A number or a word that the one who calls the programme chose.
#[allow(clippy::disallowed_methods, reason = "how a programme is told what to do")]
fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[test]
#[ignore = "long: cargo xtask fuzz"]
#[allow(clippy::print_stdout, reason = "the programme's result")]
fn at_length() {
    let wanted = told("CAIRN_FUZZ_TARGET").unwrap_or_else(|| "all".to_owned());
    let number = |name, other| told(name).map_or(other, |text| text.parse().unwrap());
    let (seconds, seed) = (number("CAIRN_FUZZ_SECONDS", 60), number("CAIRN_FUZZ_SEED", 1));
    let chosen = TARGETS.iter().filter(|target| wanted == "all" || target.name == wanted);
    for target in chosen {
        let until = Instant::now() + Duration::from_secs(seconds);
        let run = run(target, seed, |inputs| !inputs.is_multiple_of(64) || Instant::now() < until);
        println!(
            "{}, seed {seed}: {} inputs, {} of them values",
            target.name, run.inputs, run.values
        );
    }
}
