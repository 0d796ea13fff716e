//! Nothing secret or personal is readable at rest: canaries go into every place of the API that takes or makes some, and then the database, its
//! write-ahead log, every file of the data directory and the server's own words at their wordiest are searched for them.
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde_json::json;
use tempfile::TempDir;
use totp_rs::{Algorithm, Secret, TOTP};

use crate::house::{House, SECRET};
use crate::load;
use crate::person::{Mailbox, Person};
use crate::support::{Answer, Caller};

/// What may be read by whoever gets at the disk, and must be found: else the search finds nothing.
const PLAIN: &str = "what is plain";
const PLAIN_SKU: &str = "plain-canary-sku";
const PLAIN_REQUEST: &str = "plain-canary-request-0001";

const EMAIL: &str = "canary.ada@secret-example.org";
const NAME: &str = "Canary Ada Lovelace";
const FIRST_PASSWORD: &str = "canary-Kq7-ghost-teapot";
const SECOND_PASSWORD: &str = "canary-Wz3-quiet-kettle";
const WRONG_PASSWORD: &str = "canary-Xx9-never-hers";
const ORGANISATION: &str = "Canary Analytical Engines";
const FRIEND: &str = "canary.grace@secret-example.org";
const KEY_NAME: &str = "canary key of Ada";
const REASON: &str = "canary reason: look into my rental";
const STRIPE_KEY: &str = "sk_test_canary_4eC39HqLyjWD";
const WEBHOOK_SECRET: &str = "whsec_canaryMfKQ9r8GKYqrTwjUPD8ILPZIo2La";

/// What must not be found, by what it is.
#[derive(Default)]
struct Canaries(BTreeMap<String, String>);

impl Canaries {
    fn add(&mut self, what: &str, canary: &str) {
        assert!(canary.len() >= 6, "{what}: {canary:?} would be found by chance");
        self.0.insert(what.to_owned(), canary.to_owned());
    }

    /// A secret that an answer has at these places.
    fn take(&mut self, what: &str, answer: &Answer, pointer: &str) -> String {
        assert!(answer.status < 300, "{what}: {}", answer.body);
        let secret = answer.text(pointer);
        self.add(what, &secret);
        secret
    }

    /// Looks for all of them at once: as they are, in hex, and in base64; and for what may be found.
    fn search(&self) -> Search<'_> {
        let written = self.0.iter().flat_map(|(what, canary)| {
            // The last digits of base64 would tell of what follows.
            let whole = BASE64.encode(canary)[..canary.len() / 3 * 4].to_owned();
            [canary.clone(), hex::encode(canary), whole].map(|text| (what.as_str(), text))
        });
        let plain = [(PLAIN, PLAIN_SKU.to_owned())];
        let (names, texts): (Vec<_>, Vec<_>) = plain.into_iter().chain(written).unzip();
        Search { names, automaton: AhoCorasick::new(texts).unwrap() }
    }
}

/// A search for canaries in bytes.
struct Search<'a> {
    names: Vec<&'a str>,
    automaton: AhoCorasick,
}

impl Search<'_> {
    fn of(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let found = self.automaton.find_overlapping_iter(bytes);
        found.map(|one| self.names[one.pattern().as_usize()]).collect()
    }

    /// What is found in files, with the file that it is in first.
    fn of_files(&self, paths: &[PathBuf]) -> BTreeMap<&str, PathBuf> {
        let mut found = BTreeMap::new();
        for path in paths {
            // A file of the database may go away at any moment.
            for what in self.of(&std::fs::read(path).unwrap_or_default()) {
                found.entry(what).or_insert_with(|| path.clone());
            }
        }
        found
    }
}

/// A house that says everything it could say, and keeps its letters outside.
async fn wordy_house(letters: &TempDir) -> House {
    let mut house = House::build().await;
    house.variables = vec![
        ("CAIRN_LOG", "trace,sqlx=debug".to_owned()),
        ("CAIRN_MAIL_URL", format!("file://{}", letters.path().display())),
        ("CAIRN_MAIL_FROM", "Cairn <cairn@example.org>".to_owned()),
        ("STRIPE_SECRET_KEY", STRIPE_KEY.to_owned()),
        ("STRIPE_WEBHOOK_SECRET", format!("{SECRET},{WEBHOOK_SECRET}")),
    ];
    house.open().await;
    house
}

/// A person's way in, through every place that takes a secret.
async fn sign_up(house: &House, mailbox: &Mailbox, canaries: &mut Canaries) -> Person {
    let mut ada = Person::at(house.base(), EMAIL);
    let wish = json!({ "email": EMAIL, "name": NAME, "password": FIRST_PASSWORD });
    assert_eq!(ada.post("/v1/users", &wish).await.status, 202);
    let code = mailbox.code_beside(&[]).await;
    canaries.add("code of a letter", &code);
    let verified = ada.post("/v1/email-verifications", &json!({ "code": code })).await;
    assert_eq!(verified.status, 200, "{}", verified.body);
    assert_eq!(ada.sign_in(WRONG_PASSWORD).await.status, 401);
    assert_eq!(ada.sign_in(FIRST_PASSWORD).await.status, 201);
    canaries.add("first session", ada.cookie.split_once('=').unwrap().1);
    canaries.add("first session's token", &ada.csrf);
    let change = json!({ "old_password": FIRST_PASSWORD, "password": SECOND_PASSWORD });
    let changed = ada.post("/v1/password", &change).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    ada.keep(&changed);
    let begun = ada.post("/v1/totp", &json!({})).await;
    let secret = canaries.take("TOTP secret", &begun, "/secret");
    let bytes = Secret::Encoded(secret).to_bytes().unwrap();
    let device = TOTP::new(Algorithm::SHA1, 6, 0, 30, bytes).unwrap();
    let shown = json!({ "one_time_password": device.generate_current().unwrap() });
    let confirmed = ada.post("/v1/totp/confirm", &shown).await;
    for number in 0..10 {
        let what = format!("recovery code {number}");
        canaries.take(&what, &confirmed, &format!("/recovery_codes/{number}"));
    }
    let known = mailbox.codes();
    assert_eq!(ada.post("/v1/password-resets", &json!({ "email": EMAIL })).await.status, 202);
    canaries.add("code to reset a password", &mailbox.code_beside(&known).await);
    canaries.add("session", ada.cookie.split_once('=').unwrap().1);
    canaries.add("session's token", &ada.csrf);
    ada
}

/// What an organisation has of secrets and of words that somebody wrote.
async fn found(ada: &mut Person, letters: &TempDir, canaries: &mut Canaries) -> Caller {
    ada.found(ORGANISATION).await;
    let wish = json!({ "email": FRIEND, "role": "viewer" });
    assert_eq!(ada.post("/v1/invitations", &wish).await.status, 201);
    let code = Mailbox::at(letters.path(), FRIEND).code_beside(&[]).await;
    canaries.add("code of an invitation", &code);
    let made = ada.post("/v1/keys", &json!({ "name": KEY_NAME, "role": "owner" })).await;
    let key = canaries.take("key", &made, "/key");
    let rotate = format!("/v1/keys/{}/rotate", made.text("/key_id"));
    let rotated = ada.post(&rotate, &json!({})).await;
    canaries.take("rotated key", &rotated, "/key");
    let hook = json!({ "url": "https://example.org/cairn" });
    let endpoint = ada.post("/v1/webhook-endpoints", &hook).await;
    canaries.take("webhook secret", &endpoint, "/secret");
    let rotate = format!("/v1/webhook-endpoints/{}/rotate-secret", endpoint.text("/endpoint_id"));
    let rotated = ada.post(&rotate, &json!({})).await;
    canaries.take("rotated webhook secret", &rotated, "/secret");
    let ticket = ada.post("/v1/tickets", &json!({ "purpose": "notifications" })).await;
    canaries.take("ticket", &ticket, "/ticket");
    let grant = ada.post("/v1/support-grants", &json!({ "reason": REASON, "hours": 1 })).await;
    assert_eq!(grant.status, 201, "{}", grant.body);
    let organisation_id = ada.organisation.unwrap();
    let (http, base) = (reqwest::Client::new(), ada.base.clone());
    Caller { http, base, key: Some(key), organisation_id }
}

/// What an operator has of secrets, and what may be read.
async fn open_shop(house: &House, canaries: &mut Canaries) {
    let operator = house.caller("platform_operator").await;
    canaries.add("key of an operator", operator.key.as_ref().unwrap());
    let resources =
        json!({ "cpu_millis": 1, "memory_bytes": 64 << 20, "disk_bytes": 64 << 20, "pids_max": 8 });
    let sku =
        operator.post("/v1/skus", &json!({ "sku_id": PLAIN_SKU, "resources": resources })).await;
    assert_eq!(sku.status, 201, "{}", sku.body);
    let node = operator.post("/v1/nodes", &json!({ "name": "n1" })).await;
    let command = node.text("/command");
    let token = command.split(' ').skip_while(|word| *word != "--token").nth(1).unwrap();
    canaries.add("token of a node", token);
    load::open_shop(&operator).await;
}

/// Every file below a place, but for those that are secrets by their purpose.
fn files(place: &Path, keys: &Path) -> Vec<PathBuf> {
    let mut all = vec![];
    for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() && path != keys {
            all.extend(files(&path, keys));
        } else if kind.is_file() {
            all.push(path);
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_or_personal_is_readable_in_database_write_ahead_log_files_or_words() {
    let letters = tempfile::tempdir().unwrap();
    let house = wordy_house(&letters).await;
    let mut canaries = Canaries::default();
    for (what, canary) in [
        ("address", EMAIL),
        ("name", NAME),
        ("first password", FIRST_PASSWORD),
        ("second password", SECOND_PASSWORD),
        ("password that was none", WRONG_PASSWORD),
        ("hash of a password", "$argon2id"),
        ("organisation", ORGANISATION),
        ("invited address", FRIEND),
        ("name of a key", KEY_NAME),
        ("reason of a grant", REASON),
        ("key of the payment provider", STRIPE_KEY),
        ("secret of the payment provider", WEBHOOK_SECRET),
    ] {
        canaries.add(what, canary);
    }
    let mailbox = Mailbox::at(letters.path(), EMAIL);
    let mut ada = sign_up(&house, &mailbox, &mut canaries).await;
    let owner = found(&mut ada, &letters, &mut canaries).await;
    open_shop(&house, &mut canaries).await;
    owner.top_up("20.00").await;
    let asked =
        owner.request(reqwest::Method::GET, "/v1/whoami").header("x-request-id", PLAIN_REQUEST);
    assert_eq!(crate::support::answer(asked).await.status, 200);
    assert!(canaries.0.len() > 30, "{:?}", canaries.0.keys());

    let cluster = house.cluster().await;
    let (dumped, files) = {
        let (pg_dump, url) = (cluster.binaries().join("pg_dump"), cluster.url("cairn"));
        let psql = cluster.binaries().join("psql");
        let run = |program: &Path, arguments: &[&str]| {
            let said = Command::new(program).args(arguments).output().unwrap();
            assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
            said.stdout
        };
        let dumped = run(&pg_dump, &["--dbname", &url]);
        run(&psql, &["--quiet", "--dbname", &url, "--command", "CHECKPOINT"]);
        (dumped, files(house.data(), &house.data().join("keys")))
    };
    let search = canaries.search();
    // What may be read is found; nothing else is.
    let tables: Vec<_> = search.of(&dumped).into_iter().collect();
    assert_eq!(tables, [PLAIN], "readable in the tables");
    let is_wal = |path: &PathBuf| path.components().any(|part| part.as_os_str() == "pg_wal");
    let (wal, others): (Vec<_>, Vec<_>) = files.into_iter().partition(is_wal);
    for (place, files) in [("write-ahead log", wal), ("other files", others)] {
        let found = search.of_files(&files);
        let names: Vec<_> = found.keys().copied().collect();
        assert_eq!(names, [PLAIN], "readable in the {place} ({} files): {found:?}", files.len());
    }

    let said = house.said();
    assert!(said.contains(PLAIN_REQUEST) && said.lines().count() > 100, "the server says little");
    let found: Vec<_> = search.of(said.as_bytes()).into_iter().filter(|it| *it != PLAIN).collect();
    assert_eq!(found, <[&str; 0]>::default(), "the server has said it");
    house.demolish(cluster).await;
}

#[test]
fn a_canary_is_found_however_it_is_written() {
    let mut canaries = Canaries::default();
    canaries.add("it", "canary of mine");
    let search = canaries.search();
    for said in [
        "…canary of mine…".to_owned(),
        hex::encode("canary of mine"),
        BASE64.encode("canary of mine, and more"),
    ] {
        assert!(search.of(said.as_bytes()).contains("it"), "{said}");
    }
    assert!(search.of(b"canary of mind").is_empty());
}
