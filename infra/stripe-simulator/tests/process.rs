//! The simulator as a process of its own: it says where it is, serves, and ends when told to.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

#[tokio::test]
async fn the_process_serves_where_it_says_and_reads_its_faults() {
    let faults = std::env::temp_dir().join(format!("cairn-faults-{}.json", std::process::id()));
    std::fs::write(&faults, r#"{"server_error": {"next": 1}}"#).unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_cairn-stripe-simulator"))
        .args(["--listen", "127.0.0.1:0", "--faults"])
        .arg(&faults)
        .env("NO_COLOR", "1")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(process.stderr.take().unwrap());
    let url = log.lines().map_while(Result::ok).find_map(|line| {
        Some(format!("http://{}", line.split_once("http://")?.1.split(' ').next()?))
    });
    let url = format!("{}/v1/balance", url.unwrap());
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let request = reqwest::Client::new().get(&url).bearer_auth("sk_test_x");
        statuses.push(request.send().await.unwrap().status().as_u16());
    }
    process.kill().unwrap();
    process.wait().unwrap();
    std::fs::remove_file(&faults).unwrap();
    assert_eq!(statuses, [500, 200]);
}
