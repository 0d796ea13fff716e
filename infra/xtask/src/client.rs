//! `cargo xtask client`: the TypeScript client, made from the approved document; `--check` also holds it against a live server.
use crate::Failure;
use crate::live::Live;
use crate::run::{root, say, step, target};
use crate::setup::{self, JAVASCRIPT};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const CLIENT: &str = "docs/clients/typescript";
const SCHEMA: &str = "src/schema.d.ts";
/// The oldest Node.js that has what the client uses.
const NODE: u32 = 20;

pub fn client(check_only: bool) -> Result<(), Failure> {
    setup::require(&[&JAVASCRIPT])?;
    node_is_new_enough()?;
    let bench = workbench()?;
    let mut generate = in_bench(&bench, "npx");
    let document = root().join("docs/openapi.json");
    generate.args(["--no-install", "openapi-typescript"]).arg(document);
    generate.args(["--output", SCHEMA]);
    step("making types of docs/openapi.json", &mut generate)?;
    let (made, kept) = (bench.join(SCHEMA), root().join(CLIENT).join(SCHEMA));
    let read = |path: &Path| fs::read(path).unwrap_or_default();
    if read(&made) != read(&kept) {
        if check_only {
            return Err(format!(
                "{CLIENT}/{SCHEMA} is not of this document: run cargo xtask client"
            ));
        }
        fs::copy(&made, &kept).map_err(|error| format!("{}: {error}", kept.display()))?;
        say(&format!("wrote {CLIENT}/{SCHEMA}"));
    }
    step(
        "type-checking and building the client",
        in_bench(&bench, "npx").args(["--no-install", "tsc"]),
    )?;
    step(
        "testing the client",
        in_bench(&bench, "node").args(["--test", "dist/tests/client.test.js"]),
    )?;
    if check_only { try_example(&bench) } else { Ok(()) }
}

/// Runs the worked example as a customer of a live server.
fn try_example(bench: &Path) -> Result<(), Failure> {
    let key = bench.join("example_key");
    for file in [key.clone(), key.with_extension("pub")] {
        let _ = fs::remove_file(file);
    }
    let mut keygen = Command::new("ssh-keygen");
    step("making a key pair", keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key))?;
    let public =
        fs::read_to_string(key.with_extension("pub")).map_err(|error| error.to_string())?;
    let live = Live::start("client")?;
    let mut example = in_bench(bench, "node");
    example.arg("dist/examples/rent.js").env("CAIRN_URL", &live.url);
    example.env("CAIRN_KEY", live.key("customer")?).env("SSH_PUBLIC_KEY", public.trim());
    step("running the worked example", &mut example)
}

fn in_bench(bench: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(bench);
    command
}

/// A copy of the client below the target directory, with the packages of its lockfile: the checkout stays clean.
pub fn workbench() -> Result<PathBuf, Failure> {
    let (from, to) = (root().join(CLIENT), target().join("client"));
    let lock = |at: &Path| fs::read(at.join("package-lock.json")).unwrap_or_default();
    let is_installed = lock(&from) == lock(&to) && to.join("node_modules").is_dir();
    for folder in ["", "src", "examples", "tests"] {
        let _ = fs::remove_dir_all(to.join("dist").join(folder));
        copy_files(&from.join(folder), &to.join(folder))?;
    }
    if !is_installed {
        let mut install = in_bench(&to, "npm");
        install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        step("fetching the client's packages from npm", &mut install)?;
    }
    Ok(to)
}

fn copy_files(from: &Path, to: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| format!("{}: {error}", from.display());
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)?.flatten() {
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).map_err(failed)?;
        }
    }
    Ok(())
}

fn node_is_new_enough() -> Result<(), Failure> {
    let said =
        Command::new("node").arg("--version").output().map_err(|error| format!("node: {error}"))?;
    let said = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    if major(&said).is_some_and(|major| major >= NODE) {
        return Ok(());
    }
    Err(format!("Node.js {NODE} or newer is needed, this is {said}: see https://nodejs.org"))
}

fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn a_version_has_a_major_part() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("20.20.2"), None);
    }
}
