//! `cargo xtask broker`: the relay against a broker that is a program of its own, over TCP.
use crate::Failure;
use crate::run::{cargo, step, target};
use crate::setup::{self, BUILD};
use crate::test;

/// Has a workspace, and so versions, of its own.
const MANIFEST: &str = "infra/kafka/broker/Cargo.toml";

pub fn broker(arguments: &[String]) -> Result<(), Failure> {
    if !arguments.is_empty() {
        return Err(format!("{} is not understood: broker", arguments.join(" ")));
    }
    setup::require(&[&BUILD])?;
    let made = target().join("broker");
    let mut build = cargo(&["build", "--locked", "--manifest-path", MANIFEST]);
    build.env("CARGO_TARGET_DIR", &made).env("CARGO_PROFILE_DEV_DEBUG", "0");
    step("building the broker", &mut build)?;
    let tests = ["--test", "relay", "--", "--ignored", "--nocapture"];
    let program = made.join("debug/cairn-kafka-broker");
    test::with(&tests.map(str::to_owned), &[("CAIRN_BROKER", program.as_os_str())])
}
