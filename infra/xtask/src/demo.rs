//! `cargo xtask demo`: the main job, on real parts where the machine allows it.
use crate::Failure;
use crate::run::{cargo, say, step, target};
use crate::setup::{self, BUILD, DATABASE, NODES};
use std::os::unix::process::CommandExt;
use std::process::Command;

pub fn demo(arguments: &[String]) -> Result<(), Failure> {
    setup::require(&[&BUILD, &DATABASE])?;
    if setup::is_root() {
        setup::require(&[&NODES])?;
    } else {
        say(
            "not root: the node will be a scripted one (as root it is a namespace with a real sshd)",
        );
    }
    let packages = ["cairn-api", "cairn-node", "cairn-stripe-simulator"];
    let mut build = cargo(&["build", "--bins"]);
    build.args(packages.iter().flat_map(|package| ["--package", package]));
    step("building cairn", build.env("SQLX_OFFLINE", "true"))?;
    let mut cairn = Command::new(target().join("debug/cairn"));
    cairn.arg("demo").args(arguments).current_dir(crate::run::root());
    Err(format!("cannot run cairn demo: {}", cairn.exec()))
}
