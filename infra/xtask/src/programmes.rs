//! Long programmes of the suite over real servers, longer than a test may be: each is a test that is told how much and from what seed.
use crate::Failure;
use crate::database::Scratch;
use crate::run::{cargo, step};
use crate::setup::{self, BUILD, DATABASE};

/// One of them.
struct Programme {
    name: &'static str,
    test: &'static str,
    /// How much of it, and how the test is told: the option, the variable, and what it is unless it is said.
    amount: (&'static str, &'static str, u64),
    seed: &'static str,
    /// Whether it works on a database that is there; the others have a cluster of their own.
    needs_database: bool,
}

const PROGRAMMES: [Programme; 3] = [
    Programme {
        name: "chaos",
        test: "chaos::a_storm_loses_and_doubles_nothing",
        amount: ("--kills", "CAIRN_CHAOS_KILLS", 20),
        seed: "CAIRN_CHAOS_SEED",
        needs_database: false,
    },
    Programme {
        name: "hangups",
        test: "hang_up::at_length",
        amount: ("--count", "CAIRN_HANGUPS_COUNT", 20_000),
        seed: "CAIRN_HANGUPS_SEED",
        needs_database: true,
    },
    Programme {
        name: "repeats",
        test: "repeats::at_length",
        amount: ("--count", "CAIRN_REPEATS_COUNT", 100_000),
        seed: "CAIRN_REPEATS_SEED",
        needs_database: true,
    },
];

/// Runs the one of this name.
pub fn run(name: &str, arguments: &[String]) -> Result<(), Failure> {
    let found = PROGRAMMES.iter().find(|programme| programme.name == name);
    let programme = found.ok_or_else(|| format!("there is no programme {name}"))?;
    let (amount, seed) = programme.parse(arguments)?;
    setup::require(&[&BUILD, &DATABASE])?;
    let mut build = cargo(&["build", "--package", "cairn-api", "--bins", "--tests"]);
    step("building the server and the programme", build.env("SQLX_OFFLINE", "true"))?;
    let mut run = cargo(&["test", "--quiet", "--package", "cairn-api", "--test", "suite", "--"]);
    run.args(["--ignored", "--exact", "--nocapture", programme.test]);
    run.env("SQLX_OFFLINE", "true");
    run.env(programme.amount.1, amount.to_string()).env(programme.seed, seed.to_string());
    let scratch = programme.needs_database.then(|| Scratch::start(name)).transpose()?;
    if let Some(scratch) = &scratch {
        let cluster = scratch.cluster()?;
        let database = format!("cairn_{name}_{}", std::process::id());
        cluster.create_database(&database).map_err(|error| error.to_string())?;
        run.env("DATABASE_URL", cluster.url(&database));
    }
    step(&format!("{name}: {} {amount}, seed {seed}", programme.amount.0), &mut run)
}

impl Programme {
    /// How much, and from what seed.
    fn parse(&self, arguments: &[String]) -> Result<(u64, u64), Failure> {
        let (option, _, mut amount) = self.amount;
        let mut seed = 1;
        for pair in arguments.chunks(2) {
            let number = pair.get(1).and_then(|text| text.parse().ok());
            match (pair[0].as_str(), number) {
                (said, Some(number)) if said == option => amount = number,
                ("--seed", Some(number)) => seed = number,
                _ => {
                    let (said, name) = (pair.join(" "), self.name);
                    let usage = format!("{name} [{option} N] [--seed S], two whole numbers");
                    return Err(format!("{said} is not understood: {usage}"));
                }
            }
        }
        Ok((amount, seed))
    }
}

#[cfg(test)]
mod tests {
    use super::{PROGRAMMES, run};

    fn parsed(at: usize, line: &str) -> Option<(u64, u64)> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        PROGRAMMES[at].parse(&words).ok()
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert_eq!(parsed(0, ""), Some((20, 1)));
        assert_eq!(parsed(0, "--seed 7 --kills 200"), Some((200, 7)));
        assert_eq!(parsed(1, "--count 100"), Some((100, 1)));
        for line in ["--kills", "--kills many", "--kill 3", "200", "--count 3"] {
            assert_eq!(parsed(0, line), None, "{line}");
        }
        assert!(run("caos", &[]).unwrap_err().contains("caos"));
    }
}
