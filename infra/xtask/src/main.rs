//! `cargo xtask`: everything one does to this repository, the same on a laptop and in CI.
//!
//! Each command brings what it needs and nothing more; what is present is left alone, so a second
//! run needs no network. Data goes to stdout, talk to stderr.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks")]
mod bench;
mod broker;
mod client;
mod database;
mod demo;
mod fuzz;
mod guide;
mod lint;
mod live;
mod monitoring;
mod page;
mod prepare;
mod production;
mod programmes;
mod run;
mod schemathesis;
mod setup;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

/// Why a command ended early, in one sentence.
type Failure = String;

const USAGE: &str = "\
cargo xtask <command>

  setup                 installs what demo, test and lint need and the machine lacks
  demo [ARGS]           runs the main job and leaves the server on http://127.0.0.1:8080
                        (--once ends after the story, --output json for machines); always on a
                        private PostgreSQL, whatever DATABASE_URL says
  test [ARGS]           runs every test on a private PostgreSQL; ARGS go to cargo test. Root must
                        be able to run real nodes, or say CAIRN_REQUIRE_NODES=0 to skip them
  lint                  fmt, tidy, machete, deny, monitoring, clippy, the build for production, doc
  tidy [--record]       the checks of docs/style.md (--record: accept new migrations, lower the ratchet)
  bench [ARGS]          append, ledger, rebuild, http: rates beside the alternatives, --output json
                        (append and ledger --against REVISION: in turns with a build of it, --rounds 3)
  broker                the relay against a broker of another make, over TCP (builds it: minutes)
  chaos [ARGS]          --kills N --seed S: kills, stalls and hang-ups by chance under load, and counts
  hangups [ARGS]        --count N --seed S: clients of every kind of change hang up at every moment; nothing is half done
  repeats [ARGS]        --count N --seed S: wishes are sent again and again to two servers; each has one effect
  fuzz TARGET [ARGS]    event|upcast|cursor|token|webhook|verb|all (--seconds N --seed N): mutated input is read
  fuzz histories [ARGS] random histories of a wallet against a model of it (--count 1000000 --seed 1)
  fuzz webhooks [ARGS]  random histories of the payment provider, in order and as chance has it (--count 100000 --seed 1)
  fuzz seal [ARGS]      tampers with sealed logs (--count 10000 --clean 1000 --seed 1): is each found at
                        its position, and is nothing found in clean ones?
  client [--check]      makes the TypeScript client of docs/openapi.json (--check: compares, type-checks, and
                        runs its example against a live server)
  guide                 types the newcomer's path of docs/guides/api.md against a live server with a real node, and
                        compares what comes back with what the page shows
  schemathesis [ARGS]   --requests N --seed S: asks a live server whatever its document allows, and more
  dashboards [--check]  rewrites the dashboards of infra/deploy/grafana from panels.txt (--check: only compares)
  sqlx-prepare [--check]  rewrites .sqlx/ from the migrations (--check: only compares)
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    match dispatch(&command, &rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask {command}: {why}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: &str, rest: &[String]) -> Result<(), Failure> {
    match command {
        "setup" => setup::everything(),
        "demo" => demo::demo(rest),
        "test" => test::test(rest),
        "lint" => lint::lint(),
        "tidy" => tidy::tidy(rest.iter().any(|argument| argument == "--record")),
        "bench" => bench::bench(rest),
        "broker" => broker::broker(rest),
        "chaos" | "hangups" | "repeats" => programmes::run(command, rest),
        "fuzz" => fuzz::fuzz(rest),
        "client" => client::client(checks_only(rest)?),
        "guide" => guide::guide(rest),
        "schemathesis" => schemathesis::schemathesis(rest),
        "dashboards" => monitoring::dashboards(checks_only(rest)?),
        "sqlx-prepare" => prepare::prepare(checks_only(rest)?),
        "" | "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        _ => Err(format!("no such command\n\n{USAGE}")),
    }
}

/// Whether `--check` is said, and nothing else.
fn checks_only(rest: &[String]) -> Result<bool, Failure> {
    match rest {
        [] => Ok(false),
        [one] if one == "--check" => Ok(true),
        other => Err(format!("{} is not understood: --check is", other.join(" "))),
    }
}

#[cfg(test)]
mod tests {
    use super::checks_only;

    #[test]
    fn a_misspelt_check_changes_nothing() {
        let said = |words: &[&str]| {
            checks_only(&words.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(said(&[]), Ok(false));
        assert_eq!(said(&["--check"]), Ok(true));
        assert!(said(&["--chek"]).is_err() && said(&["--check", "x"]).is_err());
    }
}
