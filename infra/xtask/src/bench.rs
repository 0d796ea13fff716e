//! `cargo xtask bench`: built for speed, on a durable cluster that the program brings itself.
use crate::Failure;
use crate::run::{cargo, step, target};
use crate::setup::{self, BUILD, DATABASE};

/// Measures other ledgers as well. They are built from a workspace of their own.
const PEERS: &str = "--peers";

pub fn bench(arguments: &[String]) -> Result<(), Failure> {
    setup::require(&[&BUILD, &DATABASE])?;
    let mut run = cargo(&["run", "--release", "--package", "cairn-replay-tests"]);
    run.args(["--bin", "cairn-bench", "--"]).env("SQLX_OFFLINE", "true");
    if arguments.is_empty() {
        run.arg("append");
    }
    run.args(arguments.iter().filter(|&argument| argument != PEERS));
    if arguments.first().is_some_and(|bench| bench == "http") {
        let mut build = cargo(&["build", "--release", "--package", "cairn-api", "--bin", "cairn"]);
        step("building the server", build.env("SQLX_OFFLINE", "true"))?;
        run.arg("--server").arg(target().join("release/cairn"));
    }
    if arguments.iter().any(|argument| argument == PEERS) {
        let made = target().join("peers");
        let manifest = "replay-tests/peers/Cargo.toml";
        let mut build = cargo(&["build", "--release", "--locked", "--manifest-path", manifest]);
        step("building the peers", build.env("CARGO_TARGET_DIR", &made))?;
        run.arg(PEERS).arg(made.join("release/cairn-bench-peers"));
    }
    step("measuring", &mut run)
}
