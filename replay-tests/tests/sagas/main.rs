//! The saga matrix on a real Linux node: a network namespace, private mounts, real accounts and OpenSSH. Every step of
//! provisioning and of the teardown is failed, never answered, killed before and after, and done twice; then the node is
//! looked at with other eyes than its helper's. Skipped, aloud, where there can be no such node.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests are tests too")]
mod inventory;
#[path = "../../../infra/ssh/tests/nodes/support.rs"]
#[allow(dead_code, reason = "written for the tests of the adapter")]
mod nodes;
#[path = "../../../commands/tests/support/mod.rs"]
mod support;
mod trust;
mod world;

use cairn_commands::processes::RunnerConfig;
use cairn_ssh::SshConfig;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use support::faults::Mode;
use support::matrix::saga_matrix;
use support::table::{Cell, Story};
use world::RealNode;

const AT_THE_NODE: [&str; 7] = [
    "ensure_uid",
    "ensure_home",
    "ensure_user",
    "ensure_limits",
    "ensure_access",
    "ensure_prove",
    "tear_down",
];

fn at_the_node(mode: Mode) -> Vec<Cell> {
    let mut cells: Vec<Cell> =
        AT_THE_NODE.into_iter().map(|target| Cell { story: Story::Rental, target, mode }).collect();
    cells.push(Cell { story: Story::FailingRental, target: "tear_down", mode });
    cells
}

#[test]
fn a_node_is_given_more_time_than_its_adapter_takes() {
    let (runner, ssh) = (RunnerConfig::new("test"), SshConfig::default());
    assert!(runner.timeout > 2 * ssh.connect_timeout + ssh.command_timeout);
}

async fn run(name: &str, db: PgConnectOptions, cells: Vec<Cell>) {
    let Some(node) = RealNode::start(name).await else { return };
    saga_matrix(db, node.clone(), &cells).await;
    node.stop().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn on_a_real_node_every_action_and_undo_runs_twice(_: PgPoolOptions, db: PgConnectOptions) {
    let twice = |story| Cell { story, target: "*", mode: Mode::Twice };
    let stories = [Story::Rental, Story::FailingRental, Story::TooPoor];
    run("saga-twice", db, stories.map(twice).to_vec()).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn on_a_real_node_a_step_that_fails_for_good_is_undone(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    run("saga-fails", db, at_the_node(Mode::Permanent)).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn on_a_real_node_a_step_that_never_answers_is_undone(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    run("saga-silent", db, at_the_node(Mode::Forever)).await;
}

/// The node did it each time; only its answers are lost.
#[sqlx::test(migrations = "../migrations")]
async fn on_a_real_node_a_step_that_is_never_heard_of_is_undone(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    run("saga-unheard", db, at_the_node(Mode::Unheard)).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn on_a_real_node_a_worker_may_die_before_a_step(_: PgPoolOptions, db: PgConnectOptions) {
    run("saga-before", db, at_the_node(Mode::KillBefore)).await;
}

/// The node did it, and nobody has recorded it.
#[sqlx::test(migrations = "../migrations")]
async fn on_a_real_node_a_worker_may_die_with_a_step_done(_: PgPoolOptions, db: PgConnectOptions) {
    run("saga-between", db, at_the_node(Mode::KillBetween)).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn on_a_real_node_a_worker_may_die_after_a_step(_: PgPoolOptions, db: PgConnectOptions) {
    run("saga-after", db, at_the_node(Mode::KillAfter)).await;
}

/// The node itself refuses: accounts in the way, a full disk, a frozen hierarchy, a read-only directory, maintenance.
#[sqlx::test(migrations = "../migrations")]
async fn on_a_real_node_a_step_that_the_node_refuses_is_undone(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let steps = AT_THE_NODE.into_iter().filter(|name| name.starts_with("ensure_"));
    let broken = |target| Cell { story: Story::Rental, target, mode: Mode::Outside };
    run("saga-broken", db, steps.map(broken).collect()).await;
}
