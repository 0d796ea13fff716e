//! `cairn login`, `whoami` and `logout`: the binary itself against a server, with a person at a browser.
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tempfile::TempDir;

use crate::person::Person;
use crate::support::{Caller, Stage};

/// Somebody's machine.
struct Laptop(TempDir);

/// What one command did.
struct Said {
    code: i32,
    data: String,
    talk: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|_| panic!("{}", self.data))
    }
}

impl Laptop {
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
        command.args(line.split_whitespace()).args(["--output", "json"]);
        command.env_clear().env("PATH", env!("PATH")).env("USER", "ada").env("HOME", self.0.path());
        command.current_dir(self.0.path());
        command
    }

    fn credentials(&self) -> PathBuf {
        self.0.path().join(".config/cairn/credentials.json")
    }

    async fn run(&self, line: &str) -> Said {
        let mut command = self.command(line);
        let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said {
            code: done.status.code().unwrap(),
            data: text(&done.stdout),
            talk: text(&done.stderr),
        }
    }

    /// Logs in, with somebody who does this with the code that is shown.
    async fn login(&self, line: &str, person: &Person, path: &str) -> Said {
        let mut command = self.command(line);
        let started = tokio::task::spawn_blocking(move || {
            let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let mut talk = BufReader::new(child.stderr.take().unwrap());
            let (mut heard, mut code) = (String::new(), None);
            while code.is_none() {
                let mut line = String::new();
                assert_ne!(talk.read_line(&mut line).unwrap(), 0, "no code was shown: {heard}");
                let word = line.trim();
                code = (word.len() == 9 && word.as_bytes()[4] == b'-').then(|| word.to_owned());
                heard += &line;
            }
            (child, talk, heard, code.unwrap())
        });
        let (child, mut talk, mut heard, code) = started.await.unwrap();
        let decided = person.post(path, &json!({ "user_code": code })).await;
        assert_eq!(decided.status, 200, "{}", decided.body);
        let ended = tokio::task::spawn_blocking(move || {
            std::io::Read::read_to_string(&mut talk, &mut heard).unwrap();
            (child.wait_with_output().unwrap(), heard)
        });
        let (done, talk) = ended.await.unwrap();
        let data = String::from_utf8_lossy(&done.stdout).into_owned();
        Said { code: done.status.code().unwrap(), data, talk }
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_person_logs_in_on_a_machine_and_out_again(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    let organisation = ada.found("Analytical Engines").await;
    let laptop = Laptop(tempfile::tempdir().unwrap());
    let nobody = laptop.run("whoami").await;
    assert_eq!(nobody.code, 3, "{}", nobody.talk);
    assert!(nobody.talk.contains("not_logged_in"), "{}", nobody.talk);
    assert_eq!(laptop.run("logout").await.json(), json!({ "revoked": null }));

    let line = format!("login --server {} --scope compute:read --expires-in 1h", stage.base);
    let done = laptop.login(&line, &ada, "/v1/device/approve").await;
    assert_eq!(done.code, 0, "{}", done.talk);
    assert!(done.talk.contains(&format!("{}/device", stage.base)), "{}", done.talk);
    let said = done.json();
    assert_eq!(said["organisation_id"], organisation.to_string());
    assert_eq!(said["scopes"], json!(["compute:read"]));
    let kept = std::fs::read_to_string(laptop.credentials()).unwrap();
    let kept: Value = serde_json::from_str(&kept).unwrap();
    let key = kept["key"].as_str().unwrap();
    assert!(key.starts_with("cairn_test_"));
    assert!(
        !format!("{}{}", done.data, done.talk).contains("cairn_test_"),
        "the key is never shown"
    );
    let mode = laptop.credentials().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let who = laptop.run("whoami").await;
    assert_eq!((who.code, who.json()), (0, said.clone()), "{}", who.talk);
    let listed = ada.get(&format!("/v1/keys/{}", said["key_id"].as_str().unwrap())).await;
    assert!(listed.text("/name").starts_with("ada@"), "{}", listed.body);

    let denied = laptop.login("login", &ada, "/v1/device/deny").await;
    assert_eq!(denied.code, 3, "{}", denied.talk);
    assert!(denied.talk.contains("access_denied"), "{}", denied.talk);
    assert_eq!(laptop.run("whoami").await.code, 0, "what was there before is there still");

    let caller = Caller { key: Some(key.to_owned()), ..stage.nobody() };
    assert_eq!(caller.get("/v1/allocations").await.status, 200);
    let out = laptop.run("logout").await;
    assert_eq!((out.code, out.json()), (0, json!({ "revoked": said["key_id"] })), "{}", out.talk);
    assert!(!laptop.credentials().exists());
    assert_eq!(caller.get("/v1/allocations").await.code(), "unauthenticated", "the key is revoked");
    let listed = ada.get(&format!("/v1/keys/{}", said["key_id"].as_str().unwrap())).await;
    assert!(!listed.text("/revoked_at").is_empty(), "{}", listed.body);
    stage.strike().await;
}

#[tokio::test]
async fn whoever_misspells_a_server_or_a_scope_is_told() {
    let laptop = Laptop(tempfile::tempdir().unwrap());
    let plain = laptop.run("login --server http://cairn.example").await;
    assert_eq!(plain.code, 2, "{}", plain.talk);
    assert!(plain.talk.contains("https"), "{}", plain.talk);
    let none = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = laptop.run(&format!("login --server http://{none}")).await;
    assert_eq!(away.code, 5, "{}", away.talk);
    assert!(
        away.talk.contains("refused") && away.talk.contains(&none.to_string()),
        "{}",
        away.talk
    );
    assert!(!laptop.credentials().exists());
}
