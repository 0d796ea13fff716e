//! `cargo xtask bench`: built for speed, on a durable cluster that the program brings itself.
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::run::{cargo, root, step, target};
use crate::setup::{self, BUILD, DATABASE};

/// Measures other ledgers as well. They are built from a workspace of their own.
const PEERS: &str = "--peers";

pub fn bench(arguments: &[String]) -> Result<(), Failure> {
    setup::require(&[&BUILD, &DATABASE])?;
    if let Some(comparison) = Comparison::of(arguments)? {
        return comparison.run();
    }
    let mut run = cargo(&["run", "--release", "--package", "cairn-replay-tests"]);
    run.args(["--bin", "cairn-bench", "--"]).env("SQLX_OFFLINE", "true");
    if arguments.is_empty() {
        run.arg("append");
    }
    run.args(arguments.iter().filter(|&argument| argument != PEERS));
    if arguments.first().is_some_and(|bench| bench == "http") {
        let mut build = cargo(&["build", "--release", "--package", "cairn-api", "--bin", "cairn"]);
        step("building the server", build.env("SQLX_OFFLINE", "true"))?;
        run.arg("--server").arg(target().join("release/cairn"));
    }
    if arguments.iter().any(|argument| argument == PEERS) {
        let made = target().join("peers");
        let manifest = "replay-tests/peers/Cargo.toml";
        let mut build = cargo(&["build", "--release", "--locked", "--manifest-path", manifest]);
        step("building the peers", build.env("CARGO_TARGET_DIR", &made))?;
        run.arg(PEERS).arg(made.join("release/cairn-bench-peers"));
    }
    step("measuring", &mut run)
}

/// Another revision, built and measured in turns with this one.
struct Comparison {
    revision: String,
    rounds: usize,
    /// What the bench itself is told.
    bench: Vec<String>,
}

impl Comparison {
    /// The one that is asked for: `--against REVISION`, and `--rounds N` unless three will do.
    fn of(arguments: &[String]) -> Result<Option<Self>, Failure> {
        let (mut revision, mut rounds, mut bench) = (None, 3, vec![]);
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--against" => revision = Some(words.next().ok_or("--against what revision?")?),
                "--rounds" => {
                    let count = words.next().and_then(|count| count.parse().ok());
                    rounds = count.filter(|rounds| *rounds > 0).ok_or("--rounds N, one or more")?;
                }
                _ => bench.push(word.clone()),
            }
        }
        let Some(revision) = revision.cloned() else { return Ok(None) };
        match bench.first().map(String::as_str) {
            Some("append" | "ledger") => Ok(Some(Self { revision, rounds, bench })),
            _ => Err("only append and ledger are measured against a revision".to_owned()),
        }
    }

    fn run(&self) -> Result<(), Failure> {
        let kept = target().join("against");
        let source = kept.join("source");
        self.check_out(&source)?;
        let built = build(&source, &kept.join("before"));
        let mut remove = git(&["worktree", "remove", "--force"]);
        step("removing the revision's files", remove.arg(&source))?;
        let before = built?;
        let after = build(&root(), &target())?;
        let mut compare = Command::new(&after);
        compare.arg("compare");
        for round in 1..=self.rounds {
            for (side, program) in [("before", &before), ("after", &after)] {
                let file = kept.join(format!("{side}.{round}.json"));
                let out = File::create(&file).map_err(|error| error.to_string())?;
                let mut run = Command::new(program);
                run.args(&self.bench).args(["--output", "json"]).stdout(out);
                step(&format!("{side}, {round} of {}", self.rounds), &mut run)?;
                compare.arg(format!("--{side}")).arg(file);
            }
        }
        step("comparing", &mut compare)
    }

    /// Its files, apart from ours.
    fn check_out(&self, source: &Path) -> Result<(), Failure> {
        if source.exists() {
            fs::remove_dir_all(source).map_err(|error| error.to_string())?;
        }
        step("forgetting the revision before", &mut git(&["worktree", "prune"]))?;
        let mut add = git(&["worktree", "add", "--detach", "--force"]);
        step("checking the revision out", add.arg(source).arg(&self.revision))
    }
}

fn git(arguments: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.args(arguments).current_dir(root());
    git
}

/// The bench of a checkout.
fn build(source: &Path, made: &Path) -> Result<PathBuf, Failure> {
    let mut build = cargo(&["build", "--release", "--package", "cairn-replay-tests"]);
    build.args(["--bin", "cairn-bench"]).current_dir(source);
    build.env("SQLX_OFFLINE", "true").env("CARGO_TARGET_DIR", made);
    step(&format!("building {}", source.display()), &mut build)?;
    Ok(made.join("release/cairn-bench"))
}

#[cfg(test)]
mod tests {
    use super::Comparison;

    fn of(line: &str) -> Result<Option<(String, usize, usize)>, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let found = Comparison::of(&words)?;
        Ok(found.map(|found| (found.revision, found.rounds, found.bench.len())))
    }

    #[test]
    fn a_revision_is_asked_for_by_name() {
        assert_eq!(of("ledger --seconds 2"), Ok(None));
        assert_eq!(
            of("ledger --against HEAD~3 --seconds 2"),
            Ok(Some(("HEAD~3".to_owned(), 3, 3)))
        );
        assert_eq!(of("append --rounds 5 --against a1"), Ok(Some(("a1".to_owned(), 5, 1))));
    }

    #[test]
    fn what_cannot_be_compared_is_said_before_anything_is_built() {
        for line in [
            "--against a1",
            "rebuild --against a1",
            "ledger --against",
            "ledger --against a1 --rounds 0",
        ] {
            assert!(of(line).is_err(), "{line}");
        }
    }
}
