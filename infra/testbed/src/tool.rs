//! Programs, by argument vector.
use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::error::{TestbedError, io};

/// What a program said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Whether it ended with 0.
    pub success: bool,
    /// Exit status; −1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error, trimmed.
    pub stderr: String,
}

/// Runs a command to its end, feeding it some input.
pub fn ask(command: &mut Command, input: &[u8]) -> Result<Said, TestbedError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(io(format!("starting {name}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read to the end is fine.
        let _unread = stdin.write_all(input);
    }
    let output = child.wait_with_output().map_err(io(format!("waiting for {name}")))?;
    Ok(Said {
        success: output.status.success(),
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// Runs a program that must succeed; answers what it printed.
pub fn run<S: AsRef<OsStr>>(argv: &[S]) -> Result<String, TestbedError> {
    let words: Vec<_> = argv.iter().map(|word| word.as_ref().to_string_lossy()).collect();
    let program = words.join(" ");
    let Some((name, arguments)) = argv.split_first() else {
        return Err(TestbedError::Failed { program, message: "no program given".to_owned() });
    };
    let said = ask(Command::new(name).args(arguments), b"")?;
    if said.success {
        Ok(said.stdout)
    } else {
        Err(TestbedError::Failed { program, message: said.stderr })
    }
}

/// Runs a program whose failure does not matter.
pub fn try_run<S: AsRef<OsStr>>(argv: &[S]) {
    let _whatever = run(argv);
}
