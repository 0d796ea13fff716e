//! Whatever the provider does, and however it is heard of, the ledger is the same as if each thing had been heard of once and in order.
//!
//! Reports pass the handlers, aggregates and process managers as they are; only the log, the queue of intents and the provider are in memory.
//! `cargo xtask fuzz webhooks` does it at length.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![allow(clippy::print_stdout, reason = "a proof tells its figures")]
mod dice;
mod provider;
mod run;
mod world;

use std::ops::AddAssign;

use dice::Dice;
use run::{Bitten, Manner};
use world::Ledger;

/// Histories in every run of the tests.
const COUNT: u64 = 10_000;

/// A history by its number, in order and once; and as chance will have it.
fn tells_the_same(seed: u64) -> Bitten {
    let history = provider::history(&mut Dice::new(seed));
    let (calm, _) = run::run(&history, &mut Manner::Calm);
    let (wild, bitten) = run::run(&history, &mut Manner::Wild(Dice::new(!seed)));
    let (calm, wild) = (Ledger::of(&calm), Ledger::of(&wild));
    assert_eq!(calm, wild, "history {seed}: in order, and as it was heard of\n{history:#?}");
    bitten
}

fn all(count: u64, seed: u64) -> Bitten {
    let part = |from: u64, end: u64| {
        let mut sum = Bitten::default();
        for number in from..end {
            sum.add_assign(tells_the_same(seed.wrapping_mul(1_000_003).wrapping_add(number)));
        }
        sum
    };
    let mut sum = Bitten::default();
    std::thread::scope(|scope| {
        let halves = [(0, count / 2), (count / 2, count)];
        let hands = halves.map(|(from, end)| scope.spawn(move || part(from, end)));
        for hand in hands {
            sum.add_assign(hand.join().unwrap());
        }
    });
    println!("{count} histories, seed {seed}: {sum:?}");
    sum
}

#[test]
fn however_it_is_heard_of_the_ledger_is_the_same() {
    let bitten = all(COUNT, 2_026);
    assert!(bitten.all(), "something never happened: {bitten:?}");
}

#[allow(clippy::disallowed_methods, reason = "how a programme is told what to do")]
fn told(variable: &str, unless: u64) -> u64 {
    std::env::var(variable).map_or(unless, |said| said.parse().unwrap())
}

#[test]
#[ignore = "long: cargo xtask fuzz webhooks"]
fn at_length() {
    all(told("CAIRN_HISTORIES_COUNT", 1_000_000), told("CAIRN_HISTORIES_SEED", 1));
}
