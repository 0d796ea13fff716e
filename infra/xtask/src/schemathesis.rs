//! `cargo xtask schemathesis`: a stranger who has read nothing but the OpenAPI document asks a live server whatever it allows, and whatever
//! it does not, as two organisations' owners and as an operator.
use crate::Failure;
use crate::live::Live;
use crate::run::{root, say, target};
use crate::setup::{self, PYTHON};
use crate::tools;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const USAGE: &str = "schemathesis [--requests N] [--seed S], two whole numbers";
/// Most examples of an operation and phase in one round.
const EXAMPLES: &str = "40";
/// Who asks, each in turn.
const PEOPLE: [&str; 3] = ["ada", "bob", "operator"];

pub fn schemathesis(arguments: &[String]) -> Result<(), Failure> {
    let (requests, seed) = parse(arguments)?;
    setup::require(&[&PYTHON])?;
    let program = tools::schemathesis()?;
    let mut live = Live::start("schemathesis")?;
    let place = target().join("schemathesis");
    fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    let keys = [
        live.key("customer")?.to_owned(),
        live.stranger("owner")?,
        live.key("operator")?.to_owned(),
    ];
    let people = write_people(&place, &keys)?;
    let (mut asked, mut failed) = (0, vec![]);
    for round in 0.. {
        for (person, peers) in PEOPLE.iter().zip([true, true, false]) {
            let config = write_config(&place, &people, (person, peers))?;
            let seed = seed + round;
            let (count, is_clean) = ask(&program, &config, &live.url, (person, seed))?;
            if !is_clean {
                failed.push(format!("{person} with seed {seed}"));
            }
            asked += count;
        }
        if live.has_died() {
            return Err("the server has died".into());
        }
        if asked >= requests || !failed.is_empty() {
            break;
        }
    }
    if failed.is_empty() {
        say(&format!(
            "{asked} requests from seed {seed} on: no server error, no breach of the document"
        ));
        return Ok(());
    }
    Err(format!(
        "of {asked} requests some were answered as they should not be: {}",
        failed.join(", ")
    ))
}

/// One run as one person: how many requests, and whether all were answered as they should be.
fn ask(
    program: &Path,
    config: &Path,
    url: &str,
    (person, seed): (&str, u64),
) -> Result<(u64, bool), Failure> {
    let mut run = Command::new(program);
    run.arg("--config-file").arg(config).arg("run").arg(format!("{url}/openapi.json"));
    run.args(["--max-examples", EXAMPLES, "--continue-on-failure", "--no-color"]);
    run.args(["--seed", &seed.to_string()]).current_dir(target().join("schemathesis"));
    let output =
        run.stdin(Stdio::null()).output().map_err(|error| format!("schemathesis: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let count = generated(&text).ok_or_else(|| {
        format!("schemathesis did not run: {text}{}", String::from_utf8_lossy(&output.stderr))
    })?;
    if !output.status.success() {
        eprintln!("{text}");
    }
    say(&format!("{person}, seed {seed}: {count} requests"));
    Ok((count, output.status.success()))
}

/// `2178 generated, …`, as the summary says it.
fn generated(text: &str) -> Option<u64> {
    let (before, _) = text.rsplit_once(" generated")?;
    before.rsplit(char::is_whitespace).next()?.replace(',', "").parse().ok()
}

fn write_people(place: &Path, keys: &[String]) -> Result<PathBuf, Failure> {
    let people = PEOPLE.iter().zip(keys).map(|(name, key)| {
        format!(
            "{{\"name\": \"{name}\", \"fixedHeaders\": [{{\"name\": \"Authorization\", \"value\": \"Bearer {key}\"}}]}}"
        )
    });
    let text = format!("{{\"auth\": [{}]}}", people.collect::<Vec<_>>().join(", "));
    write(place.join("people.json"), &text)
}

/// The checkout's rules, and who asks. Peers must not see each other's things.
fn write_config(
    place: &Path,
    people: &Path,
    (person, peers): (&str, bool),
) -> Result<PathBuf, Failure> {
    let rules = root().join("infra/xtask/schemathesis.toml");
    let rules =
        fs::read_to_string(&rules).map_err(|error| format!("{}: {error}", rules.display()))?;
    let peers = if peers { "peers = [\"ada\", \"bob\"]\n" } else { "" };
    let who = format!("[auth.wfc]\npath = \"{}\"\nuser = \"{person}\"\n{peers}", people.display());
    write(place.join(format!("{person}.toml")), &format!("{rules}\n{who}"))
}

fn write(file: PathBuf, text: &str) -> Result<PathBuf, Failure> {
    fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(file)
}

fn parse(arguments: &[String]) -> Result<(u64, u64), Failure> {
    let (mut requests, mut seed) = (1_000, 1);
    for pair in arguments.chunks(2) {
        let number = pair.get(1).and_then(|text| text.parse().ok());
        match (pair[0].as_str(), number) {
            ("--requests", Some(number)) => requests = number,
            ("--seed", Some(number)) => seed = number,
            _ => return Err(format!("{} is not understood: {USAGE}", pair.join(" "))),
        }
    }
    Ok((requests, seed))
}

#[cfg(test)]
mod tests {
    use super::generated;

    #[test]
    fn the_summary_says_how_many_requests_there_were() {
        assert_eq!(
            generated("Test cases:\n  2178 generated, 67 found 67 unique failures"),
            Some(2178)
        );
        assert_eq!(generated("  12,345 generated"), Some(12_345));
        assert_eq!(generated("could not load the schema"), None);
    }
}
