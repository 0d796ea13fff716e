//! Projects: made, renamed and archived by whoever may, named by rentals when they begin, and seen in what was used.
use cairn_core::money::parse_nanos;
use cairn_core::{OrganisationId, ProjectId};
use cairn_identity::Role;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;
use crate::person::Person;
use crate::support::{Caller, MASTER_KEY, SSH_KEY, Stage};

const PATH: &str = "/v1/projects";

/// The owner's key of an organisation that people have.
async fn owner(stage: &Stage, name: &str) -> (Caller, OrganisationId) {
    let mut person = Person::signed_in(stage, &format!("{name}@example.org")).await;
    let id = person.found(name).await;
    (stage.caller_of(Role::Owner, id).await, id)
}

async fn made(caller: &Caller, name: &str) -> String {
    let made = caller.post(PATH, &json!({ "name": name })).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let id = made.text("/project_id");
    assert_eq!(made.header("location"), format!("{PATH}/{id}"));
    id
}

fn rent(project: Option<&str>) -> Value {
    let mut rent = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": SSH_KEY });
    if let Some(project) = project {
        rent["project_id"] = json!(project);
    }
    rent
}

#[sqlx::test(migrations = "../migrations")]
async fn a_project_comes_is_renamed_and_archived(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    stage.open_shop(&stage.caller(Role::PlatformOperator).await).await;
    let (owner, id) = owner(&stage, "ada").await;
    let developer = stage.caller_of(Role::Developer, id).await;
    let search = made(&developer, "search").await;
    let path = format!("{PATH}/{search}");
    let seen = owner.get(&path).await;
    assert_eq!(seen.text("/name"), "search");
    assert!(seen.body.get("archived_at").is_none(), "{}", seen.body);
    let tag = seen.header("etag").to_owned();
    let renamed = developer.post_upon(&tag, &path, &json!({ "name": "find" })).await;
    assert_eq!(renamed.status, 200, "{}", renamed.body);
    let stale = developer.post_upon(&tag, &path, &json!({ "name": "look" })).await;
    assert_eq!((stale.status, stale.code()), (412, "precondition_failed"));

    let archive = format!("{path}/archive");
    assert_eq!(developer.post(&archive, &json!({})).await.status, 403);
    assert_eq!(owner.post(&archive, &json!({})).await.status, 200);
    assert_eq!(owner.post(&archive, &json!({})).await.status, 200, "it is archived already");
    let listed = owner.get(PATH).await;
    let first = &listed.body["items"][0];
    assert_eq!(first["name"], "find");
    assert!(first["archived_at"].is_string(), "{}", listed.body);
    for (path, body, code) in [
        (path.as_str(), json!({ "name": "look" }), "project_archived"),
        (PATH, json!({ "name": "" }), "project_name_invalid"),
        ("/v1/projects/nothing", json!({ "name": "look" }), "unknown_project"),
        ("/v1/allocations", rent(Some(&search)), "project_archived"),
        ("/v1/allocations", rent(Some("search")), "body_invalid"),
    ] {
        let refused = owner.post(path, &body).await;
        assert_eq!(refused.code(), code, "{path} {}", refused.body);
    }
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rental_is_in_a_project_of_its_own_organisation(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let (ada, _) = owner(&stage, "ada").await;
    let (bob, _) = owner(&stage, "bob").await;
    stage.open_shop(&stage.caller(Role::PlatformOperator).await).await;
    let theirs = made(&bob, "secret").await;
    for foreign in [theirs, ProjectId::from_bits(7).to_string()] {
        let refused = ada.post("/v1/allocations", &rent(Some(&foreign))).await;
        assert_eq!((refused.status, refused.code()), (404, "unknown_project"));
        assert!(refused.text("/detail").contains(&foreign), "{}", refused.body);
        assert_eq!(ada.get(&format!("{PATH}/{foreign}")).await.status, 404);
    }
    ada.top_up("20.00").await;
    let (search, ranking) = (made(&ada, "search").await, made(&ada, "ranking").await);
    let mut rentals = vec![];
    for project in [Some(search.as_str()), Some(&ranking), None] {
        let rented = ada.post("/v1/allocations", &rent(project)).await;
        assert_eq!(rented.status, 201, "{}", rented.body);
        let path = rented.header("location").to_owned();
        ada.until(&path, |rental| rental["status"] == "active").await;
        rentals.push((project.map(str::to_owned), rented.text("/allocation_id"), path));
    }
    for (project, id, path) in &rentals {
        let shown = ada.get(path).await.body;
        assert_eq!(shown["project_id"].as_str(), project.as_deref(), "{shown}");
        let asked = project.as_deref().unwrap_or("none");
        let found = ada.get(&format!("/v1/allocations?project_id={asked}")).await.body;
        let ids: Vec<_> = found["items"].as_array().unwrap().iter().collect();
        assert_eq!((ids.len(), &ids[0]["allocation_id"]), (1, &json!(id)), "{found}");
    }
    let wrong = ada.get("/v1/allocations?project_id=search").await;
    assert_eq!((wrong.status, wrong.code()), (400, "query_invalid"));
    used_by_project(&ada, &rentals).await;
    stage.strike().await;
}

type Rented = (Option<String>, String, String);

/// What each project used is told apart, and together it is the whole.
async fn used_by_project(owner: &Caller, rentals: &[Rented]) {
    for (_, _, path) in rentals {
        owner.until(path, |rental| rental["active_seconds"].as_i64() > Some(0)).await;
        owner.post(&format!("{path}/release"), &json!({})).await;
        owner.until(path, |rental| rental["status"] == "released").await;
    }
    let nanos = |text: &Value| parse_nanos(text.as_str().unwrap()).unwrap();
    let used = owner.get("/v1/usage?range=24h&by=hour").await.body;
    let used = &used["currencies"][0];
    let projects = used["projects"].as_array().unwrap();
    let ids: Vec<_> = projects.iter().map(|project| project["project_id"].as_str()).collect();
    let wanted: Vec<_> = rentals.iter().map(|(project, ..)| project.as_deref()).collect();
    assert_eq!(ids, wanted, "{used}");
    for sum in ["cost", "tax", "previous", "month_to_date", "per_hour", "month_forecast"] {
        let all: i64 = projects.iter().map(|project| nanos(&project[sum])).sum();
        assert_eq!(all, nanos(&used[sum]), "{sum}: {used}");
    }
    for (number, (project, id, _)) in rentals.iter().enumerate() {
        assert!(nanos(&projects[number]["cost"]) > 0, "{used}");
        let asked = project.as_deref().unwrap_or("none");
        let query = format!("/v1/usage?range=24h&by=hour&project_id={asked}");
        let of_it = owner.get(&query).await.body["currencies"][0].clone();
        assert_eq!(of_it["cost"], projects[number]["cost"], "{of_it}");
        let buckets = of_it["buckets"].as_array().unwrap();
        let sum: i64 = buckets.iter().map(|bucket| nanos(&bucket["cost"])).sum();
        assert_eq!(sum, nanos(&of_it["cost"]), "{of_it}");
        let resources = of_it["resources"].as_array().unwrap();
        assert_eq!((resources.len(), &resources[0]["allocation_id"]), (1, &json!(id)));
        assert_eq!(resources[0]["project_id"].as_str(), project.as_deref());
    }
    let wrong = owner.get("/v1/usage?project_id=x").await;
    assert_eq!((wrong.status, wrong.code()), (400, "query_invalid"));
}

const NOBODY: &str = "org_00000000000000000000000000";

#[sqlx::test(migrations = "../migrations")]
async fn an_operator_at_the_machine_makes_limits_and_looks_at_projects(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options.clone()).await;
    let (_, id) = owner(&stage, "ada").await;
    let key = stage.path(MASTER_KEY);
    let shell = Shell::new(&options).with("CAIRN_PRIVACY_KEY", key.to_string_lossy());
    let create = format!("projects create {id} search --idempotency-key p1");
    let made = shell.json(&create).await;
    assert_eq!(shell.json(&create).await, made, "a repeat is the same project");
    let project = made["project_id"].as_str().unwrap();
    shell.json(&format!("projects rename {id} {project} find")).await;
    let listed = shell.json(&format!("projects list {id}")).await;
    let seen = (listed.as_array().unwrap().len(), &listed[0]["project_id"], &listed[0]["name"]);
    assert_eq!(seen, (1, &json!(project), &json!("find")), "{listed}");

    let of_dollars = |rows: Value| -> Vec<Value> {
        let rows = rows.as_array().unwrap().iter();
        rows.filter(|row| row["currency"] == "USD").cloned().collect()
    };
    let limits = format!("projects limits {id} {project}");
    shell.json(&format!("{limits} --currency USD --warn 20 --stop 40")).await;
    let shown = of_dollars(shell.json(&limits).await).remove(0);
    assert_eq!((&shown["warn"], &shown["stop"]), (&json!("20.00"), &json!("40.00")), "{shown}");
    let none = of_dollars(shell.json(&format!("{limits} --currency USD --none")).await).remove(0);
    assert!(none.get("warn").is_none() && none.get("stop").is_none(), "{none}");
    let alerts = format!("projects alerts {id} {project}");
    shell.json(&format!("{alerts} --currency USD --spent 25 --spent 10")).await;
    let shown = of_dollars(shell.json(&alerts).await);
    let amounts: Vec<_> = shown.iter().map(|row| (&row["amount"], &row["told"])).collect();
    let untold = json!(false);
    assert_eq!(amounts, [(&json!("10.00"), &untold), (&json!("25.00"), &untold)]);
    let usage = format!("projects usage {id} --project {project} --range 7d");
    assert_eq!(shell.json(&usage).await, json!([]), "nothing was used");
    shell.json(&format!("projects archive {id} {project}")).await;

    let other = ProjectId::from_bits(7);
    for (line, code, word) in [
        (format!("projects list {NOBODY}"), 4, NOBODY),
        (format!("projects create {NOBODY} search"), 4, NOBODY),
        (format!("projects rename {id} {other} x"), 4, "unknown_project"),
        (format!("projects rename {id} {project} x"), 3, "project_archived"),
        (format!("projects limits {id} {other}"), 4, "has no project proj_"),
        (format!("{limits} --currency USD"), 2, "--warn, --stop or --none"),
        (format!("{limits} --warn 5"), 2, "--currency"),
        (format!("{limits} --currency USD --warn 9 --stop 8"), 3, "spending_limits_invalid"),
        (format!("{alerts} --currency USD"), 2, "--spent or --none"),
        (format!("{alerts} --currency USD --spent 5 --spent 5"), 3, "alerts_invalid"),
        (format!("projects usage {id} --range 8d"), 2, "'8d' is none of"),
        (format!("projects usage {id} --project proj_1"), 2, "proj_1"),
    ] {
        let said = shell.run(&line).await;
        assert_eq!(said.code(), code, "{line}: {}", said.talk());
        assert!(said.talk().contains(word), "{line}: {}", said.talk());
    }
    assert_eq!(of_dollars(shell.json(&alerts).await).len(), 2, "what was refused changed nothing");
    stage.strike().await;
}
