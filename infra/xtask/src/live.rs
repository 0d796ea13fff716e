//! A live server for strangers to talk to: `cairn demo` after its story, with its keys.
use crate::Failure;
use crate::run::{cargo, root, say, step, target};
use crate::setup::{self, BUILD, CUSTOMER, DATABASE, NODES};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

/// The server, until it is dropped.
pub struct Live {
    server: Child,
    /// Where it listens.
    pub url: String,
    /// API keys by role: `operator`, `customer`, `finance`.
    pub keys: BTreeMap<String, String>,
    data: PathBuf,
}

impl Live {
    /// Builds it, tells the demo's story, and stays. `name` is of its data directory.
    pub fn start(name: &str) -> Result<Self, Failure> {
        setup::require(&[&BUILD, &DATABASE, &CUSTOMER])?;
        if setup::is_root() {
            setup::require(&[&NODES])?;
        }
        // As for the tests: where those were run, nothing is compiled twice.
        let mut build = cargo(&["build", "--workspace", "--bins", "--tests"]);
        step("building cairn", build.env("SQLX_OFFLINE", "true"))?;
        let data = target().join("live").join(name);
        say("starting cairn demo on a port of its own");
        let mut server = cairn(&data);
        server.arg("demo").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut server = server.spawn().map_err(|error| format!("cairn demo: {error}"))?;
        let talk = server.stderr.take().ok_or("cairn demo says nothing")?;
        let mut live = Self { server, url: String::new(), keys: BTreeMap::new(), data };
        live.listen(talk)?;
        Ok(live)
    }

    /// Until it has named its address and its keys.
    fn listen(&mut self, talk: ChildStderr) -> Result<(), Failure> {
        let mut heard = Vec::new();
        let mut lines = BufReader::new(talk).lines();
        for line in lines.by_ref().map_while(Result::ok) {
            if let Some((_, url)) = line.split_once("The server stays on ") {
                self.url = url.split(". ").next().unwrap_or(url).to_owned();
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [role, key] = words[..]
                && key.starts_with("cairn_test_")
            {
                self.keys.insert(role.to_owned(), key.to_owned());
            }
            if line.starts_with("Try:") {
                // Somebody must go on listening, or the server would be stopped by a full pipe.
                std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
                return Ok(());
            }
            heard.push(line);
        }
        Err(format!("cairn demo ended before its story:\n{}", heard.join("\n")))
    }

    /// The key of somebody.
    pub fn key(&self, role: &str) -> Result<&str, Failure> {
        self.keys.get(role).map(String::as_str).ok_or_else(|| format!("no key of {role}"))
    }

    /// Where it keeps the letters that it would send.
    pub fn letters(&self) -> PathBuf {
        self.data.join("demo/mail")
    }

    /// A new key of this role, of an organisation of its own.
    pub fn stranger(&self, role: &str) -> Result<String, Failure> {
        let mut create = cairn(&self.data.join("demo"));
        create.args(["keys", "create", "--role", role, "--name", "stranger", "--output", "json"]);
        let made = create.output().map_err(|error| format!("cairn keys create: {error}"))?;
        let text = String::from_utf8_lossy(&made.stdout);
        let key = text.split('"').find(|word| word.starts_with("cairn_test_"));
        key.map(str::to_owned).ok_or_else(|| {
            format!("cairn keys create: {}", String::from_utf8_lossy(&made.stderr).trim())
        })
    }

    /// Whether it has ended by itself.
    pub fn has_died(&mut self) -> bool {
        !matches!(self.server.try_wait(), Ok(None))
    }
}

impl Drop for Live {
    /// In order, so that its database ends with it.
    fn drop(&mut self) {
        let pid = self.server.id().to_string();
        let asked = Command::new("kill").args(["-s", "INT", &pid]).status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
    }
}

fn cairn(data: &std::path::Path) -> Command {
    let mut cairn = Command::new(target().join("debug/cairn"));
    cairn.current_dir(root()).env("CAIRN_DATA", data).env("CAIRN_LISTEN", "127.0.0.1:0");
    cairn.env("CAIRN_RATE_LIMITS", "off").env_remove("DATABASE_URL");
    cairn
}
