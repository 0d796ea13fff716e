//! `cargo xtask demo`: the main job, on real parts where the machine allows it.
use crate::Failure;
use crate::run::{cargo, say, step, target};
use crate::setup::{self, BOOKS, BUILD, CUSTOMER, DATABASE, NODES};
use std::os::unix::process::CommandExt;
use std::process::Command;

pub fn demo(arguments: &[String]) -> Result<(), Failure> {
    if setup::is_root() {
        setup::require(&[&BUILD, &DATABASE, &CUSTOMER, &NODES])?;
    } else {
        setup::require(&[&BUILD, &DATABASE, &CUSTOMER])?;
        say(
            "not root: the node will be a scripted one (as root it is a namespace with a real sshd)",
        );
    }
    setup::offer(&[&BOOKS]);
    let packages = ["cairn-api", "cairn-node", "cairn-stripe-simulator"];
    let mut build = cargo(&["build", "--bins"]);
    build.args(packages.iter().flat_map(|package| ["--package", package]));
    step("building cairn", build.env("SQLX_OFFLINE", "true"))?;
    let mut cairn = Command::new(target().join("debug/cairn"));
    cairn.arg("demo").args(arguments).current_dir(crate::run::root());
    Err(format!("cannot run cairn demo: {}", cairn.exec()))
}
