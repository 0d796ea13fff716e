//! `cargo xtask fuzz`: long programmes of random faults, seeded, built for speed.
use crate::Failure;
use crate::run::{cargo, step};
use crate::setup::{self, BUILD};

pub fn fuzz(arguments: &[String]) -> Result<(), Failure> {
    let Some(("seal", options)) = arguments.split_first().map(|(name, rest)| (name.as_str(), rest))
    else {
        return Err("say what: `cargo xtask fuzz seal [--count N] [--clean N] [--seed N]`".into());
    };
    setup::require(&[&BUILD])?;
    let mut run =
        cargo(&["run", "--release", "--package", "cairn-seal", "--bin", "cairn-seal-fuzz", "--"]);
    step("tampering with sealed logs", run.args(options))
}
