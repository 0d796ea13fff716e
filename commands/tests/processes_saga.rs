//! Every step of every process, failed, timed out, killed and repeated: money held is money released or captured, and
//! nothing is left on the node.
mod support;

use std::collections::BTreeSet;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use support::faults::Mode;
use support::harness::Memory;
use support::matrix::saga_matrix;
use support::table::{Cell, Story, at_port, cells, every_name, rows};

type Options = PgConnectOptions;

#[test]
fn every_intent_that_a_process_can_want_has_a_row() {
    let rows: BTreeSet<&str> = rows().into_iter().map(|(_, target)| target).collect();
    let names = every_name();
    let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(rows, names);
}

#[sqlx::test(migrations = "../migrations")]
async fn the_story_goes_well_when_every_action_and_undo_runs_twice(_: PgPoolOptions, db: Options) {
    let twice = |story| Cell { story, target: "*", mode: Mode::Twice };
    let repeats = saga_matrix(db, Memory::new(), &Story::ALL.map(twice)).await;
    for name in every_name() {
        assert!(repeats.contains_key(&name), "{name} ran only once: {repeats:?}");
        let port = format!("{name}@port");
        assert!(!at_port(&name) || repeats.contains_key(&port), "{port} was called only once");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_step_that_fails_for_good_is_undone_or_waits_for_an_operator(
    _: PgPoolOptions,
    db: Options,
) {
    saga_matrix(db, Memory::new(), &cells(Mode::Permanent)).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_step_that_never_answers_is_undone_or_waits_for_an_operator(
    _: PgPoolOptions,
    db: Options,
) {
    saga_matrix(db, Memory::new(), &cells(Mode::Forever)).await;
}

/// It hangs once: whoever waits gives up, and tries again.
#[sqlx::test(migrations = "../migrations")]
async fn a_call_that_hangs_is_given_up_and_made_again(_: PgPoolOptions, db: Options) {
    saga_matrix(db, Memory::new(), &cells(Mode::Hang)).await;
}

/// Every third cell: a death costs the time of a lease.
async fn dies(mode: Mode, part: usize, db: Options) {
    let cells: Vec<Cell> = cells(mode).into_iter().skip(part).step_by(3).collect();
    saga_matrix(db, Memory::new(), &cells).await;
}

macro_rules! deaths {
    ($($name:ident: $mode:ident, $part:literal;)+) => {$(
        #[sqlx::test(migrations = "../migrations")]
        async fn $name(_: PgPoolOptions, db: Options) {
            dies(Mode::$mode, $part, db).await;
        }
    )+};
}

deaths! {
    a_worker_that_dies_before_a_step_is_taken_over_1: KillBefore, 0;
    a_worker_that_dies_before_a_step_is_taken_over_2: KillBefore, 1;
    a_worker_that_dies_before_a_step_is_taken_over_3: KillBefore, 2;
    a_worker_that_dies_with_a_step_done_and_not_recorded_is_taken_over_1: KillBetween, 0;
    a_worker_that_dies_with_a_step_done_and_not_recorded_is_taken_over_2: KillBetween, 1;
    a_worker_that_dies_with_a_step_done_and_not_recorded_is_taken_over_3: KillBetween, 2;
    a_worker_that_dies_after_a_step_is_taken_over_1: KillAfter, 0;
    a_worker_that_dies_after_a_step_is_taken_over_2: KillAfter, 1;
    a_worker_that_dies_after_a_step_is_taken_over_3: KillAfter, 2;
}
