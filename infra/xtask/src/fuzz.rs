//! `cargo xtask fuzz`: long programmes of random faults, seeded.
use crate::Failure;
use crate::run::{cargo, step};
use crate::setup::{self, BUILD};

const USAGE: &str = "fuzz seal [--count N] [--clean N] [--seed N], fuzz histories [--count N] [--seed N], fuzz webhooks [--count N] [--seed N], or fuzz TARGET|all [--seconds N] [--seed N] with TARGET one of \
    event, upcast, cursor, token, webhook, verb";
/// What `api/tests/fuzz` reads.
const TARGETS: [&str; 7] = ["all", "event", "upcast", "cursor", "token", "webhook", "verb"];

pub fn fuzz(arguments: &[String]) -> Result<(), Failure> {
    setup::require(&[&BUILD])?;
    match arguments.split_first().map(|(name, rest)| (name.as_str(), rest)) {
        Some(("seal", options)) => {
            let mut run = cargo(&["run", "--release", "--package", "cairn-seal", "--bin"]);
            run.args(["cairn-seal-fuzz", "--"]);
            step("tampering with sealed logs", run.args(options))
        }
        Some(("histories", options)) => histories(parse(options, ("--count", 1_000_000))?),
        Some(("webhooks", options)) => webhooks(parse(options, ("--count", 100_000))?),
        Some((target, options)) if TARGETS.contains(&target) => {
            let (seconds, seed) = parse(options, ("--seconds", 60))?;
            let mut run = cargo(&["test", "--quiet", "--package", "cairn-api", "--test", "fuzz"]);
            run.args(["--", "--ignored", "--exact", "--nocapture", "at_length"]);
            run.env("SQLX_OFFLINE", "true").env("CAIRN_FUZZ_TARGET", target);
            run.env("CAIRN_FUZZ_SECONDS", seconds.to_string());
            run.env("CAIRN_FUZZ_SEED", seed.to_string());
            step(&format!("{target}: {seconds} s a target, seed {seed}"), &mut run)
        }
        Some((other, _)) => Err(format!("there is no target {other}: {USAGE}")),
        None => Err(format!("say what: {USAGE}")),
    }
}

/// Random histories of a wallet against a model of it: half of them short, half long; and half as many partitions of a rental.
fn histories((count, seed): (u64, u64)) -> Result<(), Failure> {
    let mut run = cargo(&["test", "--release", "--quiet", "--package", "cairn-ledger"]);
    run.args(["--test", "histories"]);
    run.env("PROPTEST_CASES", count.div_ceil(2).to_string());
    run.env("PROPTEST_RNG_SEED", seed.to_string());
    step(&format!("{count} histories of a wallet, seed {seed}"), &mut run)
}

/// What the payment provider does, heard of in order and as chance will have it.
fn webhooks((count, seed): (u64, u64)) -> Result<(), Failure> {
    let mut run = cargo(&["test", "--quiet", "--package", "cairn-commands"]);
    run.args(["--test", "provider_histories", "--"]);
    run.args(["--ignored", "--exact", "--nocapture", "at_length"]);
    run.env("SQLX_OFFLINE", "true");
    run.env("CAIRN_HISTORIES_COUNT", count.to_string());
    run.env("CAIRN_HISTORIES_SEED", seed.to_string());
    step(&format!("{count} histories of the payment provider, seed {seed}"), &mut run)
}

/// How much, by the option that says it, and from what seed.
fn parse(arguments: &[String], (option, unless_said): (&str, u64)) -> Result<(u64, u64), Failure> {
    let (mut amount, mut seed) = (unless_said, 1);
    for pair in arguments.chunks(2) {
        let number = pair.get(1).and_then(|text| text.parse().ok());
        match (pair[0].as_str(), number) {
            (said, Some(number)) if said == option => amount = number,
            ("--seed", Some(number)) => seed = number,
            _ => return Err(format!("{} is not understood: {USAGE}", pair.join(" "))),
        }
    }
    Ok((amount, seed))
}

#[cfg(test)]
mod tests {
    use super::fuzz;

    #[test]
    fn a_target_that_is_none_is_refused_by_name() {
        let said =
            |words: &[&str]| fuzz(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert!(said(&["vreb"]).unwrap_err().starts_with("there is no target vreb"));
        assert!(said(&["verb", "--second", "1"]).unwrap_err().starts_with("--second 1"));
        assert!(said(&["histories", "--seconds", "1"]).unwrap_err().starts_with("--seconds 1"));
        assert!(said(&["webhooks", "--kills", "1"]).unwrap_err().starts_with("--kills 1"));
    }
}
