//! Personal data is readable where it must be, and nowhere once it is erased.
use std::fs;

use cairn_api::auth::Mode;
use cairn_api::system::new_api_key;
use cairn_api::wiring;
use cairn_commands::identity::{CreateKey, create_key};
use cairn_commands::{Personal, replay};
use cairn_core::OrganisationId;
use cairn_event_log::EventLog;
use cairn_identity::Role;
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;
use crate::support::{Caller, MASTER_KEY, Stage, context};

const REASON: &str = "Ada Lovelace does not want it any more";
const PLAIN_KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIP3uQw1AvVfe6sGGzZeQAz0PBvkJqIBufObnF6t8fVAp";

/// Not the node's own.
pub fn ssh_key() -> String {
    format!("ssh-ed25519 {PLAIN_KEY} ada@laptop")
}

/// Somebody who has rented, paid and been refunded. Their allocation.
async fn customer(stage: &Stage) -> (Caller, String) {
    let owner = stage.caller(Role::Owner).await;
    let top_up = owner.top_up("20.00").await;
    let wish = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": ssh_key() });
    let allocation = owner.post("/v1/allocations", &wish).await.text("/allocation_id");
    let path = format!("/v1/allocations/{allocation}");
    owner.until(&path, |a| a["status"] == "active").await;
    let refund =
        json!({ "top_up_id": top_up, "amount": "1.00", "currency": "USD", "reason": REASON });
    let refund = owner.post("/v1/refunds", &refund).await.text("/refund_id");
    owner.until(&format!("/v1/refunds/{refund}"), |r| r["status"] == "succeeded").await;
    owner.post(&format!("{path}/release"), &json!({})).await;
    owner.until(&path, |a| a["status"] == "released").await;
    (owner, allocation)
}

/// The key of an allocation as it is stored.
async fn key_of(allocation: &str, stage: &Stage) -> String {
    let pool = stage.commands.executor.log().pool();
    let found = replay::state(pool, "allocation", allocation, replay::At::Head).await;
    found.unwrap()["state"]["ssh_public_key"].as_str().unwrap().to_owned()
}

fn row<'a>(rows: &'a Value, name: &str, value: &str) -> &'a Value {
    let rows = rows.as_array().unwrap();
    rows.iter()
        .find(|row| row[name] == value)
        .unwrap_or_else(|| panic!("{value} is not in {rows:?}"))
}

/// How many rows of the whole database hold a text, by asking it for all of it.
async fn holding(pool: &PgPool, text: &str) -> i64 {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
         WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let mut holding = 0;
    for table in tables {
        let count = format!("SELECT count(*) FROM {table} t WHERE strpos(t::text, $1) > 0");
        holding += sqlx::query_scalar::<_, i64>(&count).bind(text).fetch_one(pool).await.unwrap();
    }
    holding
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_erased_can_be_read_nowhere_and_everything_else_stands(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let pool = PgPool::connect_with(options.clone()).await.unwrap();
    let stage = Stage::set(options.clone()).await;
    let operator = stage.caller(Role::PlatformOperator).await;
    stage.open_shop(&operator).await;
    let ((ada, hers), (bob, his)) = (customer(&stage).await, customer(&stage).await);
    let shell =
        Shell::new(&options).with("CAIRN_PRIVACY_KEY", stage.path(MASTER_KEY).to_string_lossy());

    // Stored as nobody can read it, read as it was said.
    let sealed = key_of(&hers, &stage).await;
    assert!(sealed.starts_with("personal:1:"), "{sealed}");
    assert_ne!(sealed, key_of(&his, &stage).await, "the same key of two subjects");
    assert_eq!((holding(&pool, PLAIN_KEY).await, holding(&pool, REASON).await), (0, 0));
    let state = shell.json(&format!("replay state allocation {hers}")).await;
    assert!(state["state"]["ssh_public_key"].as_str().unwrap().contains(PLAIN_KEY));
    let organisation = ada.organisation_id.to_string();
    let keys = shell.json("keys list").await;
    assert_eq!(row(&keys, "organisation_id", &organisation)["name"], "test");
    let exported = shell.json(&format!("privacy export {organisation}")).await.to_string();
    assert!(exported.contains(PLAIN_KEY) && exported.contains(REASON), "{exported}");
    assert!(exported.contains("pm_card_visa") && exported.contains("127.0.0.1"), "{exported}");
    assert!(!exported.contains(&bob.organisation_id.to_string()));

    // The search bites: it finds what was planted and names the place, and the key is not destroyed over it.
    sqlx::query("CREATE TABLE public.notes (note jsonb)").execute(&pool).await.unwrap();
    let plant = "INSERT INTO public.notes VALUES (jsonb_build_object('said', $1::text))";
    sqlx::query(plant).bind(format!("ssh-ed25519 {PLAIN_KEY} ada")).execute(&pool).await.unwrap();
    let (key, seals) = (stage.path("keys/seal.pub.pem"), stage.path("published.ndjson"));
    let audit = format!("audit verify --key {} --published {}", key.display(), seals.display());
    let before = shell.json(&audit).await;
    assert_eq!(before["intact"], true);
    let erase = format!("privacy erase {organisation} --reason asked --yes");
    let found = shell.run(&format!("{erase} --output json")).await;
    assert_eq!(found.code(), 7, "{}", found.talk());
    let report: Value = serde_json::from_str(&found.data()).unwrap();
    assert_eq!(
        (&report["rows_readable"], &report["key_destroyed"]),
        (&1.into(), &false.into()),
        "{}",
        found.talk()
    );
    assert!(report["mended"]["deliveries"].as_i64().unwrap() >= 1, "{report}");
    assert!(found.talk().contains("public.notes.note"), "{}", found.talk());
    assert!(key_of(&hers, &stage).await.starts_with("personal:1:"));
    sqlx::query("DROP TABLE public.notes").execute(&pool).await.unwrap();

    // A row of a view that says more than the log is made anew by itself.
    let spoil = "UPDATE compute_allocations SET failure_message = $2 WHERE allocation_id = $1";
    sqlx::query(spoil).bind(&hers).bind(format!("of {REASON}")).execute(&pool).await.unwrap();
    let report = shell.json(&erase).await;
    assert_eq!((&report["rows_readable"], &report["key_destroyed"]), (&0.into(), &true.into()));
    assert!(report["texts_searched"].as_u64().unwrap() >= 4, "{report}");
    assert!(row(&report["tables"], "table", "public.events")["rows"].as_i64() > Some(0));

    erased(&stage, &shell, (&ada, &hers)).await;
    untouched(&stage, &shell, (&bob, &his)).await;
    let verified = shell.run("projections verify").await;
    assert_eq!(verified.code(), 0, "{}", verified.data());
    assert_eq!(shell.json("replay verify").await["identical"], true);
    let after = shell.json(&audit).await;
    assert_eq!(after["intact"], true);
    assert!(after["events_checked"].as_i64() >= before["events_checked"].as_i64(), "{after}");
    let again = shell.json(&erase).await;
    assert_eq!((&again["erased_before"], &again["key_id"]), (&true.into(), &report["key_id"]));
    stage.strike().await;
}

/// In the server that was running all the time, on the command line, and for good.
async fn erased(stage: &Stage, shell: &Shell, (ada, hers): (&Caller, &str)) {
    let organisation = ada.organisation_id.to_string();
    let state = shell.json(&format!("replay state allocation {hers}")).await;
    assert_eq!(state["state"]["ssh_public_key"], "erased");
    let view = shell.json(&format!("replay view compute/allocations --key {hers}")).await;
    assert!(view.to_string().contains(r#""ssh_public_key":"erased""#), "{view}");
    let keys = shell.json("keys list").await;
    assert_eq!(row(&keys, "organisation_id", &organisation)["name"], "erased");
    let opened = stage.commands.executor.personal().open(&key_of(hers, stage).await).await;
    assert_eq!(opened.unwrap(), None, "the running server still has the key");
    let status = shell.json("privacy status").await;
    assert_eq!(status["erased"][0]["subject"], format!("organisation/{organisation}"));
    let proof = shell.json(&format!("replay state subject organisation/{organisation}")).await;
    assert!(proof["state"]["erased_at"].is_string(), "{proof}");
    // Nothing new is kept, and what is not about a person goes on.
    let wish = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": ssh_key() });
    let refused = ada.post("/v1/allocations", &wish).await;
    assert_eq!((refused.status, refused.code()), (410, "subject_erased"));
    assert_eq!(ada.get("/v1/balance").await.status, 200);
    let key_id = row(&keys, "organisation_id", &organisation)["key_id"].as_str().unwrap();
    shell.json(&format!("keys revoke {key_id} --reason erased-customer")).await;
    let keys = shell.json("keys list").await;
    assert_eq!(row(&keys, "key_id", key_id)["revoked_reason"], "erased");
}

async fn untouched(stage: &Stage, shell: &Shell, (bob, his): (&Caller, &str)) {
    let state = shell.json(&format!("replay state allocation {his}")).await;
    assert!(state["state"]["ssh_public_key"].as_str().unwrap().contains(PLAIN_KEY));
    let opened = stage.commands.executor.personal().open(&key_of(his, stage).await).await;
    assert!(opened.unwrap().unwrap().contains(PLAIN_KEY));
    let wish = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": ssh_key() });
    assert_eq!(bob.post("/v1/allocations", &wish).await.status, 201);
}

#[sqlx::test(migrations = "../migrations")]
async fn keys_that_the_master_key_does_not_open_stop_the_start(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let shell = Shell::new(&options);
    shell.json("keys create --role owner --name shop").await;
    let path = shell.data().join("keys/privacy.key");
    let first = fs::read_to_string(&path).unwrap();
    let rotated = shell.json("privacy rotate").await;
    assert_eq!(rotated["keys_wrapped"], 1);
    assert_ne!(fs::read_to_string(&path).unwrap(), first);
    assert_eq!(shell.json("keys list").await[0]["name"], "shop");
    fs::write(&path, first).unwrap();
    for _ in ["another key", "no key"] {
        let said = shell.run("keys list").await;
        assert_eq!((said.code(), said.data().as_str()), (1, ""), "{}", said.talk());
        assert!(said.talk().contains("keys_unusable"), "{}", said.talk());
        let _ = fs::remove_file(&path);
    }
    assert!(!path.exists(), "a new key was made over keys that it does not open");
}

#[sqlx::test(migrations = "../migrations")]
async fn what_the_archive_says_without_a_key_is_found(_: PgPoolOptions, options: PgConnectOptions) {
    let shell = Shell::new(&options).with("CAIRN_SEAL_EVENTS", "1");
    let archive = format!("file://{}/archive", shell.data().display());
    let shell = shell.with("CAIRN_ARCHIVE_URL", archive);
    // As it was before personal data was sealed.
    let log = EventLog::connect(options, 2).await.unwrap();
    let organisation_id = OrganisationId::from_bits(7);
    let plain = CreateKey {
        organisation_id,
        scopes: vec![],
        role: Role::Owner,
        name: "Ada Lovelace, Analytical Engines".to_owned(),
        secret_sha256: new_api_key(Mode::Test).unwrap().sha256(),
        holder: None,
        expires_at: None,
    };
    let commands = wiring::commands(log.clone(), Personal::default());
    create_key(&commands, &context("test:before"), plain).await.unwrap();
    let sealed = format!("keys create --role viewer --name ada --organisation {organisation_id}");
    shell.json(&sealed).await;
    shell.json("audit seal").await;
    shell.json("archive run --older-than 0s --keep-events 0").await;

    let erase = format!("privacy erase {organisation_id} --reason asked --yes --output json");
    let found = shell.run(&erase).await;
    assert_eq!(found.code(), 7, "{}", found.talk());
    let place = "archive.payload (1 rows, the first at position 1)";
    assert!(found.talk().contains(place), "{}", found.talk());
    let report: Value = serde_json::from_str(&found.data()).unwrap();
    assert_eq!(row(&report["tables"], "table", "archive")["rows"], 2, "{report}");
    assert_eq!(report["key_destroyed"], false);
    let all_the_same = shell.run(&format!("{erase} --despite-findings")).await;
    let report: Value = serde_json::from_str(&all_the_same.data()).unwrap();
    assert_eq!(report["key_destroyed"], true, "{report}");
    assert!(all_the_same.talk().contains(place), "{}", all_the_same.talk());
    log.pool().close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn an_erasure_is_not_begun_by_a_slip(_: PgPoolOptions, options: PgConnectOptions) {
    let shell = Shell::new(&options);
    let made = shell.json("keys create --role owner --name shop").await;
    let organisation = made["organisation_id"].as_str().unwrap();
    let nobody = "org_00000000000000000000000000";
    for (line, code, word) in [
        (format!("privacy erase {organisation} --reason asked"), 2, "--yes"),
        (format!("privacy erase {organisation} --yes"), 2, "--reason"),
        ("privacy erase org_1 --reason asked --yes".to_owned(), 2, "org_ and 26"),
        (format!("privacy erase {nobody} --reason asked --yes"), 4, "there is no subject"),
        (format!("privacy export {nobody}"), 4, "there is no subject"),
        (format!("privacy status {nobody}"), 4, nobody),
    ] {
        let said = shell.run(&line).await;
        assert_eq!(said.code(), code, "{line}: {}", said.talk());
        assert!(said.talk().contains(word), "{line} said: {}", said.talk());
    }
    assert_eq!(shell.json("keys list").await[0]["name"], "shop");
}
