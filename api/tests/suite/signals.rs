//! What a signal ends, and what a demo says that never began.
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

fn demo(data: &TempDir) -> Command {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_cairn"));
    demo.args(["demo", "--once", "--output", "json"]);
    demo.env_clear().env("PATH", env!("PATH")).env("CAIRN_DATA", data.path());
    demo
}

fn last_line(stdout: &str) -> Value {
    serde_json::from_str(stdout.lines().last().unwrap_or_default()).unwrap()
}

#[test]
fn a_demo_that_is_interrupted_at_its_start_says_that_it_did_not_hold() {
    let data = tempfile::tempdir().unwrap();
    let mut running = demo(&data).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut talk = BufReader::new(running.stderr.take().unwrap()).lines();
    assert!(talk.any(|line| line.unwrap().contains("starting a private PostgreSQL")));
    let kill = Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let mut stdout = String::new();
    running.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(1), "{stdout}");
    let report = last_line(&stdout);
    assert_eq!((&report["held"], &report["node"]), (&Value::Bool(false), &Value::Null), "{report}");
    assert!(report["failures"][0].as_str().unwrap().contains("interrupted"), "{report}");
}

#[test]
fn a_demo_whose_stage_cannot_be_set_says_so_in_its_last_line() {
    let data = tempfile::tempdir().unwrap();
    let taken = data.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("letter"), "mine").unwrap();
    let said = demo(&data).arg("--data").arg(&taken).output().unwrap();
    assert_eq!(said.status.code(), Some(2));
    let report = last_line(&String::from_utf8_lossy(&said.stdout));
    assert_eq!(report["held"], false);
    assert!(report["failures"][0].as_str().unwrap().contains("not a demo's"), "{report}");
    assert_eq!(std::fs::read_to_string(taken.join("letter")).unwrap(), "mine");
}
