//! The demo, as `cargo xtask demo --once --output json` runs it: its last line is what a stranger will read.
use std::process::Command;

use serde_json::{Value, json};

#[test]
fn the_whole_story_holds_and_says_so_in_its_last_line() {
    let real = cairn_testbed::available_or_skip();
    if real {
        cairn_testbed::helper_binary().unwrap();
    }
    let data = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_cairn"));
    demo.args(["demo", "--once", "--seconds", "2", "--output", "json"]);
    demo.env_clear().env("PATH", env!("PATH")).env("CAIRN_DATA", data.path());
    let said = demo.output().unwrap();
    let (stdout, stderr) =
        (String::from_utf8(said.stdout).unwrap(), String::from_utf8_lossy(&said.stderr));
    let last = stdout.lines().last().unwrap_or_default();
    let report: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("{stderr}"));
    assert!(said.status.success(), "{report}\n{stderr}");

    let expected = [
        ("/node/kind", json!(if real { "namespace" } else { "scripted" })),
        ("/top_up/status", json!("succeeded")),
        ("/allocation/status", json!("released")),
        ("/refund/status", json!("succeeded")),
        ("/compensation/failed_step", json!("limits")),
        ("/compensation/funds_restored", json!(true)),
        ("/compensation/left_on_node", json!([])),
        ("/ledger/trial_balance", json!("0")),
        ("/reconciliation/breaks", json!(0)),
        ("/replay/identical", json!(true)),
        ("/rebuild/identical", json!(true)),
        ("/failures", json!([])),
    ];
    for (pointer, value) in expected {
        assert_eq!(report.pointer(pointer), Some(&value), "{pointer} in {report}");
    }
    assert!(report["allocation"]["ssh_login"].as_str().unwrap().starts_with("uid="));
    assert!(report["allocation"]["active_seconds"].as_i64().unwrap() >= 2);
    assert_eq!(report["charged"], report["expected_charge"]);
    assert!(report["balance"].is_string() && report["events"].as_i64().unwrap() > 20);
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0, "the demo left its data");
}
