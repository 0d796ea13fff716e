//! SIGHUP: a server takes up what may change while it runs, tells the log, and leaves everything else as it is.
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};

use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;
use crate::support::PATIENCE;

/// A server with a file of settings, and the lines of its log as they come.
pub struct Server {
    pub url: String,
    process: Child,
    lines: Receiver<Value>,
}

impl Server {
    pub fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut first = String::new();
        stdout.read_line(&mut first).unwrap();
        assert!(first.contains("listening"), "{first}");
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let (told, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = stderr.lines().map_while(Result::ok);
            let parsed = lines.filter_map(|line| serde_json::from_str(&line).ok());
            parsed.for_each(|line: Value| drop(told.send(line)));
        });
        let said: Value = serde_json::from_str(&first).unwrap();
        let url = said["listening"].as_str().unwrap().to_owned();
        Self { url, process, lines }
    }

    /// The next line of the log with this message.
    pub fn until(&self, message: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap();
            if line["message"] == message {
                return line;
            }
        }
    }

    /// Until it has ended by itself.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        self.process.wait().unwrap()
    }

    pub fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn write(path: &Path, pool: u32, filter: &str) {
    let text = format!("[database]\npool_size = {pool}\n\n[logging]\nfilter = \"{filter}\"\n");
    std::fs::write(path, text).unwrap();
}

#[sqlx::test(migrations = "../migrations")]
async fn a_server_reads_its_settings_again_at_a_hangup(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let shell = Shell::new(&options);
    let file = shell.data().join("settings.toml");
    write(&file, 16, "warn");
    let serve = format!("serve --dev --output json --config {}", file.display());
    let server = Server::start(shell.command(&serve));
    let stays = "not while the server runs: it stays as it was";
    let untouched = "the settings are not taken up: everything stays as it was";

    write(&file, 20, "warn");
    server.signal("-HUP");
    let refused = server.until(stays);
    assert_eq!((&refused["key"], &refused["to"]), (&"database.pool_size".into(), &"20".into()));

    write(&file, 7, "debug");
    server.signal("-HUP");
    let wrong = server.until(untouched);
    assert!(wrong["errors"].as_str().unwrap().contains("settings.toml:2: database.pool_size='7'"));
    let trail = "audit --aggregate-type configuration";
    assert_eq!(shell.json(trail).await.as_array().unwrap().len(), 0, "nothing was taken up yet");

    write(&file, 16, "info");
    server.signal("-HUP");
    let taken = server.until("the setting is taken up");
    assert_eq!((&taken["key"], &taken["level"]), (&"logging.filter".into(), &"INFO".into()));
    let told = shell.json(trail).await;
    assert_eq!(told.as_array().unwrap().len(), 1, "{told}");
    let told = &told[0];
    assert_eq!((&told["actor"], &told["origin"]), (&"operator:tester".into(), &"signal".into()));
    assert_eq!(told["event_type"], "configuration.changed");
    server.signal("-TERM");
}
