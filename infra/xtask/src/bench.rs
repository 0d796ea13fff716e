//! `cargo xtask bench`: built for speed, on a durable cluster that the program brings itself.
use crate::Failure;
use crate::run::{cargo, step};
use crate::setup::{self, BUILD, DATABASE};

pub fn bench(arguments: &[String]) -> Result<(), Failure> {
    setup::require(&[&BUILD, &DATABASE])?;
    let mut run = cargo(&["run", "--release", "--package", "cairn-replay-tests"]);
    run.args(["--bin", "cairn-bench", "--"]).args(arguments).env("SQLX_OFFLINE", "true");
    if arguments.is_empty() {
        run.arg("append");
    }
    step("measuring", &mut run)
}
