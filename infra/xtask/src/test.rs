//! `cargo xtask test`: every test, on a private PostgreSQL.
use crate::database::Scratch;
use crate::run::{cargo, say, step};
use crate::setup::{self, BOOKS, BUILD, CUSTOMER, DATABASE, NODES, PYTHON};
use crate::{Failure, tools};
use std::ffi::OsStr;

pub fn test(arguments: &[String]) -> Result<(), Failure> {
    setup::require(&[&BUILD, &DATABASE, &CUSTOMER, &NODES, &BOOKS, &PYTHON])?;
    tools::localstripe()?;
    let nodes = std::env::var_os("CAIRN_REQUIRE_NODES");
    let required = requires_nodes(nodes.as_deref(), setup::is_root());
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
    step("running every test", &mut run)
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
