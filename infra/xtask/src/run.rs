//! Running other programs and saying so.
use crate::Failure;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The top of the checkout.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    match variable("CARGO_TARGET_DIR") {
        Some(target) => root().join(target),
        None => root().join("target"),
    }
}

/// The cargo that runs us, at the top of the checkout.
pub fn cargo(arguments: &[&str]) -> Command {
    let cargo = variable("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(root());
    // What cargo told us about ourselves is not true of the next crate.
    #[allow(clippy::disallowed_methods, reason = "only names, to take them away")]
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// What the environment says.
#[allow(clippy::disallowed_methods, reason = "the one home of this program's environment")]
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Says what begins, runs it with our own output, and turns a failure into a sentence.
pub fn step(what: &str, command: &mut Command) -> Result<(), Failure> {
    say(what);
    let begun = Instant::now();
    let status = command.status().map_err(|error| {
        format!("{what}: cannot run {}: {error}", command.get_program().to_string_lossy())
    })?;
    if !status.success() {
        return Err(format!("{what}: failed ({status})"));
    }
    let seconds = begun.elapsed().as_secs();
    if seconds >= 2 {
        say(&format!("{what}: done in {seconds} s"));
    }
    Ok(())
}

/// One line of progress.
pub fn say(line: &str) {
    eprintln!("xtask: {line}");
}

/// Runs quietly; whether it succeeded.
pub fn succeeds(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// Where a program is, also in the directories that only root's `PATH` names.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = variable("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
}
