//! A certified OpenID provider (the npm package oidc-provider) as a process of its own, and a browser that somebody has at it.
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use cairn_oidc::ProviderConfig;
use reqwest::Url;
use reqwest::redirect::Policy;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::support::Stage;

/// Its name at the server.
pub const NAME: &str = "elsewhere";
const SCRIPT: &str = include_str!("../provider/provider.mjs");
const SECRET: &str = "a secret of the test, long enough";

/// A provider that runs, and ends with its input.
pub struct Provider {
    pub issuer: String,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Provider {
    pub async fn start() -> Self {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/oidc-provider");
        let installed = place.join("node_modules/oidc-provider");
        assert!(installed.is_dir(), "{} is missing: run `cargo xtask setup`", installed.display());
        let mut process = Command::new("node")
            .args(["--input-type=module", "--eval", SCRIPT])
            .current_dir(place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let issuer = output.next_line().await.unwrap().expect("the provider does not start");
        Self { issuer, input, output, _process: process }
    }

    pub fn config(&self) -> ProviderConfig {
        ProviderConfig {
            name: NAME.to_owned(),
            issuer: self.issuer.clone(),
            client_id: "cairn".to_owned(),
            client_secret: SECRET.to_owned(),
            multi_factor_acr: None,
        }
    }

    /// Tells it something, and waits until it is so.
    pub async fn tell(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        // It has opinions of its own about how it should be run.
        while self.output.next_line().await.unwrap().expect("the provider is gone") != "done" {}
    }

    /// Knows a server as its client.
    pub async fn knows(&mut self, stage: &Stage) {
        let back = format!("{}/v1/sign-in/oidc/{NAME}/callback", stage.base);
        self.tell(&format!("client {back}")).await;
    }
}

/// What came back of a page, as far as a browser cares.
pub struct Page {
    pub status: u16,
    pub location: String,
    pub code: String,
}

/// A browser: it keeps cookies by origin, and follows where it is sent one step at a time.
pub struct Browser {
    http: reqwest::Client,
    cookies: BTreeMap<(String, String), String>,
}

impl Browser {
    pub fn open() -> Self {
        let http = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
        Self { http, cookies: BTreeMap::new() }
    }

    pub async fn get(&mut self, url: &str) -> Page {
        let origin = origin(url);
        let own = self.cookies.iter().filter(|((of, _), _)| *of == origin);
        let own: Vec<_> = own.map(|((_, name), value)| format!("{name}={value}")).collect();
        let answer = self.http.get(url).header("cookie", own.join("; ")).send().await.unwrap();
        let status = answer.status().as_u16();
        for cookie in answer.headers().get_all("set-cookie") {
            self.keep(&origin, cookie.to_str().unwrap());
        }
        let location = answer.headers().get("location").map_or("", |to| to.to_str().unwrap());
        let location = if location.is_empty() { String::new() } else { join(url, location) };
        let body = answer.text().await.unwrap();
        let body: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
        Page { status, location, code: body["code"].as_str().unwrap_or_default().to_owned() }
    }

    /// Keeps a cookie, or forgets it.
    pub fn keep(&mut self, origin: &str, cookie: &str) {
        let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
        let key = (origin.to_owned(), name.to_owned());
        match value {
            "" => drop(self.cookies.remove(&key)),
            value => drop(self.cookies.insert(key, value.to_owned())),
        }
    }

    /// A cookie as it is sent to an origin.
    pub fn cookie(&self, origin: &str, name: &str) -> Option<String> {
        let value = self.cookies.get(&(origin.to_owned(), name.to_owned()))?;
        Some(format!("{name}={value}"))
    }

    /// Is somebody at the provider, and goes on until it is sent back to the server: where to.
    pub async fn vouched(&mut self, authorization: &str, stage: &Stage, who: &str) -> String {
        let mut at = format!("{authorization}&login_hint={who}");
        for _ in 0..10 {
            let page = self.get(&at).await;
            assert!((300..400).contains(&page.status), "{at} answers {}", page.status);
            if page.location.starts_with(&stage.base) {
                return page.location;
            }
            at = page.location;
        }
        panic!("the provider never comes to an end: {at}")
    }

    /// Begins a sign-in at the server: where the provider's page is.
    pub async fn begins(&mut self, stage: &Stage) -> String {
        let page = self.get(&format!("{}/v1/sign-in/oidc/{NAME}", stage.base)).await;
        assert_eq!(page.status, 303, "{}", page.code);
        page.location
    }

    /// The whole way, up to what the server says in the end.
    pub async fn signs_in(&mut self, stage: &Stage, who: &str) -> Page {
        let authorization = self.begins(stage).await;
        let back = self.vouched(&authorization, stage, who).await;
        self.get(&back).await
    }
}

fn origin(url: &str) -> String {
    let url: Url = url.parse().unwrap();
    url.origin().ascii_serialization()
}

fn join(url: &str, location: &str) -> String {
    let url: Url = url.parse().unwrap();
    url.join(location).unwrap().into()
}
