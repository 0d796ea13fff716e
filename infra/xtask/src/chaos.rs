//! `cargo xtask chaos --kills N --seed S`: a storm over a real server and its database, longer than a test may be.
use crate::Failure;
use crate::run::{cargo, step};
use crate::setup::{self, BUILD, DATABASE};

const USAGE: &str = "chaos [--kills N] [--seed S], two whole numbers";

pub fn chaos(arguments: &[String]) -> Result<(), Failure> {
    let (kills, seed) = parse(arguments)?;
    setup::require(&[&BUILD, &DATABASE])?;
    let mut build = cargo(&["build", "--package", "cairn-api", "--bins", "--tests"]);
    step("building the server and the storm", build.env("SQLX_OFFLINE", "true"))?;
    let mut run = cargo(&["test", "--quiet", "--package", "cairn-api", "--test", "suite", "--"]);
    run.args(["--ignored", "--exact", "--nocapture", "chaos::a_storm_loses_and_doubles_nothing"]);
    run.env("SQLX_OFFLINE", "true");
    run.env("CAIRN_CHAOS_KILLS", kills.to_string()).env("CAIRN_CHAOS_SEED", seed.to_string());
    step(&format!("{kills} kills, seed {seed}"), &mut run)
}

fn parse(arguments: &[String]) -> Result<(u64, u64), Failure> {
    let (mut kills, mut seed) = (20, 1);
    for pair in arguments.chunks(2) {
        let number = pair.get(1).and_then(|text| text.parse().ok());
        match (pair[0].as_str(), number) {
            ("--kills", Some(number)) => kills = number,
            ("--seed", Some(number)) => seed = number,
            _ => return Err(format!("{} is not understood: {USAGE}", pair.join(" "))),
        }
    }
    Ok((kills, seed))
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn parsed(line: &str) -> Option<(u64, u64)> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).ok()
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert_eq!(parsed(""), Some((20, 1)));
        assert_eq!(parsed("--seed 7 --kills 200"), Some((200, 7)));
        for line in ["--kills", "--kills many", "--kill 3", "200"] {
            assert_eq!(parsed(line), None, "{line}");
        }
    }
}
