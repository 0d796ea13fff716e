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
    let stories = [Story::Rental, Story::FailingRental, Story::TooPoor, Story::FailingRefund];
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

#[sqlx::test(migrations = "../migrations")]
async fn a_worker_that_dies_before_a_step_is_taken_over(_: PgPoolOptions, db: Options) {
    saga_matrix(db, Memory::new(), &cells(Mode::KillBefore)).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_worker_that_dies_after_a_step_is_taken_over(_: PgPoolOptions, db: Options) {
    saga_matrix(db, Memory::new(), &cells(Mode::KillAfter)).await;
}
