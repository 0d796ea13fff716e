//! `cargo xtask lint`: all of it, cheapest first.
use crate::run::{cargo, root, step};
use crate::setup::{self, BUILD};
use crate::{Failure, monitoring, production, tidy, tools};
use std::process::Command;

pub fn lint() -> Result<(), Failure> {
    setup::require(&[&BUILD])?;
    components()?;
    step("lint 1/8: fmt", &mut cargo(&["fmt", "--all", "--check"]))?;
    tidy::tidy(false).map_err(|why| format!("lint 2/8: tidy: {why}"))?;
    let mut machete = Command::new(tools::cargo_machete()?);
    machete.arg("--with-metadata").current_dir(root());
    step("lint 3/8: machete", &mut machete)?;
    let mut deny = Command::new(tools::cargo_deny()?);
    deny.args(["--all-features", "--locked", "check", "--hide-inclusion-graph"]);
    // The advisory database is a git repository of its own, so it is asked where it can be had:
    // see .github/workflows. Its known floors stand in deny.toml.
    deny.args(["bans", "licenses", "sources"]).current_dir(root());
    step("lint 4/8: deny", &mut deny)?;
    monitoring::check().map_err(|why| format!("lint 5/8: monitoring: {why}"))?;
    let mut clippy = cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    step("lint 6/8: clippy", clippy.env("SQLX_OFFLINE", "true"))?;
    production::check().map_err(|why| format!("lint 7/8: production: {why}"))?;
    let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
    doc.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links")
        .env("SQLX_OFFLINE", "true");
    step("lint 8/8: doc", &mut doc)
}

/// A minimal toolchain comes without them; rustup, where it is, can add them.
fn components() -> Result<(), Failure> {
    let has = |name: &str| cargo(&[name, "--version"]).output().is_ok_and(|it| it.status.success());
    if has("fmt") && has("clippy") {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["component", "add", "rustfmt", "clippy"]).current_dir(root());
    step("adding rustfmt and clippy to the toolchain", &mut rustup)
}
