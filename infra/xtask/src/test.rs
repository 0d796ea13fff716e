//! `cargo xtask test`: every test, on a private PostgreSQL.
use crate::database::Scratch;
use crate::run::{cargo, say, step};
use crate::setup::{self, BOOKS, BUILD, CUSTOMER, DATABASE, NODES, PYTHON};
use crate::{Failure, tools};

pub fn test(arguments: &[String]) -> Result<(), Failure> {
    setup::require(&[&BUILD, &DATABASE, &CUSTOMER, &NODES, &BOOKS, &PYTHON])?;
    tools::localstripe()?;
    if !setup::is_root() {
        say("not root: tests on real nodes need namespaces and say that they are skipped");
    }
    // Programs and tests in one go: both see the same features, so nothing is compiled twice.
    let mut build = cargo(&["build", "--workspace", "--bins", "--tests"]);
    step("building programs and tests", build.env("SQLX_OFFLINE", "true"))?;
    let scratch = Scratch::start("test")?;
    let cluster = scratch.cluster()?;
    let database = format!("cairn_test_{}", std::process::id());
    cluster.create_database(&database).map_err(|error| error.to_string())?;
    say(&format!("PostgreSQL is up in {}", cluster.location().display()));
    // One failure does not hide the next.
    let mut run = cargo(&["test", "--workspace", "--no-fail-fast"]);
    run.args(arguments);
    run.env("SQLX_OFFLINE", "true").env("DATABASE_URL", cluster.url(&database));
    step("running every test", &mut run)
}
