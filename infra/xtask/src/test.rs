//! `cargo xtask test`: every test, on a private PostgreSQL.
use crate::database::Scratch;
use crate::run::{cargo, say, step, succeeds, variable};
use crate::setup::{self, BOOKS, BUILD, CUSTOMER, DATABASE, JAVASCRIPT, NODES, PYTHON};
use crate::{Failure, tools};
use std::ffi::OsStr;
use std::path::Path;

pub fn test(arguments: &[String]) -> Result<(), Failure> {
    with(arguments, &[])
}

/// The same with more in the environment.
pub fn with(arguments: &[String], environment: &[(&str, &OsStr)]) -> Result<(), Failure> {
    setup::require(&[&BUILD, &DATABASE, &CUSTOMER, &BOOKS, &PYTHON, &JAVASCRIPT])?;
    let required = nodes_are_real()?;
    tools::localstripe()?;
    tools::moto()?;
    tools::oidc_provider()?;
    say(if required {
        "real nodes are tested: without them the tests fail (CAIRN_REQUIRE_NODES=0 skips them)"
    } else {
        "real nodes are tested only where there can be some: not required here (they need root)"
    });
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
    run.env("CAIRN_REQUIRE_NODES", if required { "1" } else { "0" });
    run.envs(environment.iter().copied());
    step("running every test", &mut run)
}

/// Whether there must be real nodes. Where there must, there can be.
pub fn nodes_are_real() -> Result<bool, Failure> {
    let said = variable("CAIRN_REQUIRE_NODES");
    let required = requires_nodes(said.as_deref(), setup::is_root());
    if required {
        setup::require(&[&NODES])?;
        try_namespaces()?;
    }
    Ok(required)
}

/// Root of a container often may not make the namespaces a node lives in. Said here once, not by every test.
fn try_namespaces() -> Result<(), Failure> {
    let may = ["--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"];
    let tried = [&may[..], &["mount", "-t", "tmpfs", "tmpfs", "/run"]].concat();
    if succeeds("unshare", &tried) && Path::new("/dev/loop-control").exists() {
        return Ok(());
    }
    Err("this machine refuses the namespaces, mounts or loop devices of real nodes (a container without \
         privileges?): set CAIRN_REQUIRE_NODES=0 to skip the tests that need them"
        .into())
}

/// A skipped test is not a green one. Root has what nodes need, or had it installed; whoever has not says so.
fn requires_nodes(said: Option<&OsStr>, is_root: bool) -> bool {
    said.map_or(is_root, |said| said == "1")
}

#[cfg(test)]
mod tests {
    use super::requires_nodes;

    #[test]
    fn root_must_test_real_nodes_unless_told_otherwise() {
        assert!(requires_nodes(None, true));
        assert!(!requires_nodes(None, false));
        assert!(!requires_nodes(Some("0".as_ref()), true));
        assert!(requires_nodes(Some("1".as_ref()), false));
    }
}
