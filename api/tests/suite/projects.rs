//! Projects: made, renamed and archived by whoever may, named by rentals when they begin, and seen in what was used.
use cairn_core::money::parse_nanos;
use cairn_core::{OrganisationId, ProjectId};
use cairn_identity::Role;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::person::Person;
use crate::support::{Caller, SSH_KEY, Stage};

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
