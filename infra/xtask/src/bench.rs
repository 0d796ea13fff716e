//! `cargo xtask bench`: built for speed, on a durable cluster that the program brings itself.
use crate::Failure;
use crate::run::{cargo, step, target};
use crate::setup::{self, BUILD, DATABASE};

pub fn bench(arguments: &[String]) -> Result<(), Failure> {
    setup::require(&[&BUILD, &DATABASE])?;
    let mut run = cargo(&["run", "--release", "--package", "cairn-replay-tests"]);
    run.args(["--bin", "cairn-bench", "--"]).args(arguments).env("SQLX_OFFLINE", "true");
    match arguments.first().map(String::as_str) {
        None => {
            run.arg("append");
        }
        Some("http") => {
            let mut build = cargo(&["build", "--release", "--package", "cairn-api", "--bin", "cairn"]);
            step("building the server", build.env("SQLX_OFFLINE", "true"))?;
            run.arg("--server").arg(target().join("release/cairn"));
        }
        Some(_) => {}
    }
    step("measuring", &mut run)
}
