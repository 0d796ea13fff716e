//! Every step of every process, failed, timed out, killed and repeated: money held is money released or captured, and
//! nothing is left on the node.
mod support;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use support::faults::Mode;
use support::harness::Memory;
use support::matrix::{Cell, Story, cells, saga_matrix};

type Options = PgConnectOptions;

#[sqlx::test(migrations = "../migrations")]
async fn the_story_goes_well_when_every_action_and_undo_runs_twice(_: PgPoolOptions, db: Options) {
    let twice = |story| Cell { story, target: "*", mode: Mode::Twice };
    let stories = [
        Story::Rental,
        Story::FailingRental,
        Story::TooPoor,
        Story::FailingRefund,
        Story::Drain,
        Story::Enrolment,
    ];
    saga_matrix(db, Memory::new(), &stories.map(twice)).await;
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
    a_worker_that_dies_after_a_step_is_taken_over_1: KillAfter, 0;
    a_worker_that_dies_after_a_step_is_taken_over_2: KillAfter, 1;
    a_worker_that_dies_after_a_step_is_taken_over_3: KillAfter, 2;
}
