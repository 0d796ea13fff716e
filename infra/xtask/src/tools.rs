//! Programs that come from elsewhere than the system's packages: pinned, installed once, kept in
//! `target/tools`.
use crate::Failure;
use crate::run::{cargo, root, say, step};
use std::path::{Path, PathBuf};
use std::process::Command;

const CARGO_DENY: &str = "0.20.2";
const CARGO_MACHETE: &str = "0.9.2";
const LOCALSTRIPE: &str = "1.15.10";
const MOTO: &str = "5.2.5";
const SCHEMATHESIS: &str = "4.32.5";

/// The one place for tools, whatever `CARGO_TARGET_DIR` says, so that they are built once.
fn directory() -> PathBuf {
    root().join("target/tools")
}

/// The pinned cargo-deny.
pub fn cargo_deny() -> Result<PathBuf, Failure> {
    cargo_tool("cargo-deny", CARGO_DENY)
}

/// The pinned cargo-machete.
pub fn cargo_machete() -> Result<PathBuf, Failure> {
    cargo_tool("cargo-machete", CARGO_MACHETE)
}

fn cargo_tool(name: &str, version: &str) -> Result<PathBuf, Failure> {
    let program = directory().join("bin").join(name);
    let present = Command::new(&program).arg("--version").output();
    let said = present.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    if said.is_ok_and(|said| said.contains(version)) {
        return Ok(program);
    }
    let place = directory();
    let mut install = cargo(&["install", "--locked", "--force", "--version", version, name]);
    install.arg("--root").arg(&place).env("CARGO_TARGET_DIR", place.join("build"));
    step(&format!("installing {name} {version} (once; some minutes)"), &mut install)?;
    let _ = std::fs::remove_dir_all(place.join("build"));
    Ok(program)
}

/// localstripe in a Python environment of its own: a stranger's opinion of Stripe's API.
pub fn localstripe() -> Result<PathBuf, Failure> {
    python_tool(("localstripe", ""), "localstripe", LOCALSTRIPE)
}

/// moto in a Python environment of its own: a stranger's opinion of how we speak to a key management service.
pub fn moto() -> Result<PathBuf, Failure> {
    python_tool(("moto", "[server]"), "moto_server", MOTO)
}

/// A certified OpenID provider, with the packages of its lockfile: a stranger's opinion of our sign-in.
pub fn oidc_provider() -> Result<(), Failure> {
    let (from, to) = (root().join("api/tests/provider"), directory().join("oidc-provider"));
    let lock = |at: &Path| std::fs::read(at.join("package-lock.json")).unwrap_or_default();
    if lock(&from) == lock(&to) && to.join("node_modules/oidc-provider").is_dir() {
        return Ok(());
    }
    let copied = std::fs::create_dir_all(&to).and_then(|()| {
        let names = ["package.json", "package-lock.json"];
        names.iter().try_for_each(|name| std::fs::copy(from.join(name), to.join(name)).map(drop))
    });
    copied.map_err(|error| format!("{}: {error}", to.display()))?;
    let mut install = Command::new("npm");
    install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&to);
    step("installing an OpenID provider (once)", &mut install)
}

/// schemathesis in a Python environment of its own: a stranger's opinion of our API.
pub fn schemathesis() -> Result<PathBuf, Failure> {
    python_tool(("schemathesis", ""), "schemathesis", SCHEMATHESIS)
}

/// A package, with what of it is asked for, and the program that it brings.
fn python_tool(
    (name, extras): (&str, &str),
    program: &str,
    version: &str,
) -> Result<PathBuf, Failure> {
    let place = directory().join(name);
    let program = place.join("bin").join(program);
    if program.is_file() && has_package(&place, &format!("{name}-{version}.dist-info")) {
        return Ok(program);
    }
    say(&format!("installing {name} {version} (once)"));
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(&place);
    step("making a Python environment", &mut venv)?;
    let mut pip = Command::new(place.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    pip.arg(format!("{name}{extras}=={version}"));
    step(&format!("fetching {name} from PyPI"), &mut pip)?;
    Ok(program)
}

/// Whether the Python environment has a package of exactly this name and version.
fn has_package(environment: &Path, name: &str) -> bool {
    let versions = std::fs::read_dir(environment.join("lib")).into_iter().flatten().flatten();
    versions.map(|version| version.path().join("site-packages").join(name)).any(|it| it.is_dir())
}
