//! Finds the `cairn-node` binary that belongs to the running program.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::error::{TestbedError, io};
use crate::tool;

static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();

/// The `cairn-node` binary beside the running program. Under `cargo test` it is built first, so that a test never meets an old one.
///
/// # Errors
/// When there is none, or it cannot be built.
pub fn helper_binary() -> Result<PathBuf, TestbedError> {
    let found = BUILT.get_or_init(|| find().map_err(|error| error.to_string()));
    found.clone().map_err(TestbedError::Unavailable)
}

fn find() -> Result<PathBuf, TestbedError> {
    let program = std::env::current_exe().map_err(io("finding this program"))?;
    let directory = program.parent().unwrap_or(Path::new("/"));
    let (profile, is_test) = if directory.ends_with("deps") {
        (directory.parent().unwrap_or(directory), true)
    } else {
        (directory, false)
    };
    if is_test {
        build(profile)?;
    }
    let helper = profile.join("cairn-node");
    if helper.exists() {
        return Ok(helper);
    }
    Err(TestbedError::Unavailable(format!("{} is missing: build it first", helper.display())))
}

fn build(profile: &Path) -> Result<(), TestbedError> {
    let target = profile.parent().unwrap_or(profile);
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["build", "--quiet", "--package", "cairn-node", "--bin", "cairn-node"])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let said = tool::ask(&mut command, b"")?;
    if said.success {
        Ok(())
    } else {
        Err(TestbedError::Failed {
            program: "cargo build cairn-node".to_owned(),
            message: said.stderr,
        })
    }
}
