//! A person at a browser: cookies, the token for changes, and mail that arrives.
use std::time::{Duration, Instant};

use cairn_core::OrganisationId;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Answer, PATIENCE, Stage, answer};

pub const PASSWORD: &str = "mU7-ghost-teapot";

#[derive(Clone)]
pub struct Person {
    pub http: reqwest::Client,
    pub base: String,
    pub email: String,
    pub cookie: String,
    pub csrf: String,
    pub organisation: Option<OrganisationId>,
}

impl Person {
    /// Somebody who is not signed in.
    pub fn new(stage: &Stage, email: &str) -> Self {
        Self::at(&stage.base, email)
    }

    /// The same at a server that listens there.
    pub fn at(base: &str, email: &str) -> Self {
        Self {
            http: reqwest::Client::new(),
            base: base.to_owned(),
            email: email.to_owned(),
            cookie: String::new(),
            csrf: String::new(),
            organisation: None,
        }
    }

    /// Somebody who has registered, proven their address and signed in.
    pub async fn signed_in(stage: &Stage, email: &str) -> Self {
        let mut person = Self::new(stage, email);
        let mailbox = Mailbox::of(stage, email);
        let known = mailbox.codes();
        assert_eq!(person.register().await.status, 202);
        let code = mailbox.code_beside(&known).await;
        let verified = person.post("/v1/email-verifications", &json!({ "code": code })).await;
        assert_eq!(verified.status, 200, "{}", verified.body);
        let signed_in = person.sign_in(PASSWORD).await;
        assert_eq!(signed_in.status, 201, "{}", signed_in.body);
        person
    }

    pub async fn register(&self) -> Answer {
        let body = json!({ "email": self.email, "name": "Ada", "password": PASSWORD });
        self.post("/v1/users", &body).await
    }

    /// Signs in and keeps what a browser and a page keep.
    pub async fn sign_in(&mut self, password: &str) -> Answer {
        self.sign_in_with(&json!({ "email": self.email, "password": password })).await
    }

    pub async fn sign_in_with(&mut self, body: &Value) -> Answer {
        let found = self.post("/v1/sessions", body).await;
        self.keep(&found);
        found
    }

    /// What a browser and a page keep of an answer.
    pub fn keep(&mut self, answer: &Answer) {
        let cookie = answer.header("set-cookie");
        if let Some(pair) = cookie.split(';').next().filter(|pair| pair.contains('=')) {
            pair.clone_into(&mut self.cookie);
        }
        if answer.body["csrf_token"].is_string() {
            self.csrf = answer.text("/csrf_token");
        }
    }

    /// Founds an organisation and acts for it.
    pub async fn found(&mut self, name: &str) -> OrganisationId {
        let founded = self.post("/v1/organisations", &json!({ "name": name })).await;
        assert_eq!(founded.status, 201, "{}", founded.body);
        let id = founded.text("/organisation_id").parse().unwrap();
        self.organisation = Some(id);
        id
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if !self.cookie.is_empty() {
            request = request.header("cookie", &self.cookie).header("x-csrf-token", &self.csrf);
        }
        match self.organisation {
            Some(id) => request.header("cairn-organisation", id.to_string()),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let key = cairn_api::system::new_api_key(cairn_api::auth::Mode::Test).unwrap().sha256();
        answer(self.request(Method::POST, path).header("idempotency-key", key).json(body)).await
    }
}

/// Letters to one address, as the folder of the stage has them.
pub struct Mailbox {
    folder: std::path::PathBuf,
    address: String,
}

impl Mailbox {
    pub fn of(stage: &Stage, address: &str) -> Self {
        Self::at(&stage.path("mail"), address)
    }

    /// The same in this folder.
    pub fn at(folder: &std::path::Path, address: &str) -> Self {
        Self { folder: folder.to_owned(), address: address.to_owned() }
    }

    /// Every letter, as text.
    pub fn letters(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let texts = entries.filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
        let to = format!("To: {}", self.address);
        texts.filter(|text| text.contains(&to)).collect()
    }

    /// Waits for a letter that says this.
    pub async fn says(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.letters().iter().any(|letter| letter.contains(text)) {
            assert!(Instant::now() < deadline, "no letter to {} says {text}", self.address);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for a code that is none of those.
    pub async fn code_beside(&self, known: &[String]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(code) = self.codes().into_iter().find(|code| !known.contains(code)) {
                return code;
            }
            assert!(Instant::now() < deadline, "no code for {} came", self.address);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Every code that ever came.
    pub fn codes(&self) -> Vec<String> {
        let letters = self.letters();
        let words = letters.iter().flat_map(|letter| letter.split_whitespace());
        words.filter(|word| word.starts_with("cairn_code_")).map(str::to_owned).collect()
    }
}
