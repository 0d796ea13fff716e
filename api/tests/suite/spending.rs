//! Spending limits over HTTP: set by those who may, told, in the way of a rental, and gone with a higher one.
use cairn_identity::Role;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::person::Person;
use crate::support::{Answer, Caller, SSH_KEY, Stage, answer};

async fn put(caller: &Caller, key: &str, body: &Value) -> Answer {
    put_to(caller, key, "/v1/spending-limits", body).await
}

async fn put_to(caller: &Caller, key: &str, path: &str, body: &Value) -> Answer {
    let request = caller.request(Method::PUT, path);
    answer(request.header("idempotency-key", key).json(body)).await
}

/// The limits in dollars, as they are shown.
fn dollars(shown: &Value) -> Value {
    let items = shown["items"].as_array().unwrap();
    items.iter().find(|item| item["currency"] == "USD").unwrap().clone()
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_beyond_the_limit_is_refused_until_there_is_room(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let operator = stage.caller(Role::PlatformOperator).await;
    stage.open_shop(&operator).await;
    let owner = stage.caller(Role::Owner).await;
    owner.top_up("20.00").await;
    let set =
        put(&owner, "low", &json!({ "currency": "USD", "warn": "0.10", "stop": "0.2" })).await;
    assert_eq!(set.status, 200, "{}", set.body);
    let limits = dollars(&set.body);
    assert_eq!((&limits["warn"], &limits["stop"]), (&json!("0.10"), &json!("0.20")));
    assert_eq!((&limits["spent"], &limits["left"]), (&json!("0.00"), &json!("0.20")));

    // An hour of it is 3.60.
    let wish = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": SSH_KEY });
    let rental = owner.post("/v1/allocations", &wish).await.text("/allocation_id");
    let rental = format!("/v1/allocations/{rental}");
    let found = owner.until(&rental, |rental| rental["status"] == "rejected").await;
    assert_eq!(found["failure"]["code"], "spending_limit_reached", "{found}");
    let again =
        put(&owner, "low", &json!({ "currency": "USD", "warn": "0.10", "stop": "0.2" })).await;
    assert_eq!(again.body, set.body, "a repeat is answered as it was first");

    let set = put(&owner, "high", &json!({ "currency": "USD", "stop": "5.00" })).await;
    assert_eq!((set.status, dollars(&set.body).get("warn")), (200, None));
    let rental = owner.post("/v1/allocations", &wish).await.text("/allocation_id");
    owner.until(&format!("/v1/allocations/{rental}"), |it| it["status"] == "active").await;
    let shown = owner.get("/v1/spending-limits").await;
    assert_ne!(dollars(&shown.body)["left"], "5.00", "what is set aside is not left");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn limits_are_set_by_those_who_see_to_the_money_and_a_slip_is_named(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let owner = stage.caller(Role::Owner).await;
    let finance = stage.caller_of(Role::Finance, owner.organisation_id).await;
    let developer = stage.caller_of(Role::Developer, owner.organisation_id).await;
    for (key, body, code) in [
        ("a", json!({ "currency": "USD", "warn": "9", "stop": "8" }), "spending_limits_invalid"),
        ("b", json!({ "currency": "USD", "stop": "-1" }), "amount_not_positive"),
        ("c", json!({ "currency": "USD", "warn": "0" }), "amount_not_positive"),
    ] {
        let found = put(&owner, key, &body).await;
        assert_eq!((found.status, found.code()), (422, code), "{}", found.body);
    }
    let found =
        put(&owner, "d", &json!({ "currency": "usd", "warn": "much", "stop": "1e3" })).await;
    let errors = found.body["errors"].as_array().unwrap();
    let wrong: Vec<_> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!((found.status, &wrong[..]), (422, &["/currency", "/warn", "/stop"][..]));

    let set = put(&finance, "e", &json!({ "currency": "EUR", "stop": "0" })).await;
    assert_eq!(set.status, 200, "{}", set.body);
    let shown = developer.get("/v1/spending-limits").await;
    assert_eq!(shown.body, set.body, "whoever rents sees what stands in the way");
    let refused = put(&developer, "f", &json!({ "currency": "EUR" })).await;
    assert_eq!((refused.status, refused.code()), (403, "forbidden"));
    let other = stage.caller(Role::Owner).await;
    let theirs = other.get("/v1/spending-limits").await;
    assert!(theirs.body["items"].as_array().unwrap().iter().all(|item| item.get("stop").is_none()));
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_project_is_limited_by_itself_and_named_when_it_has_no_room(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    stage.open_shop(&stage.caller(Role::PlatformOperator).await).await;
    let mut person = Person::signed_in(&stage, "ada@example.org").await;
    let id = person.found("ada").await;
    let owner = stage.caller_of(Role::Owner, id).await;
    let developer = stage.caller_of(Role::Developer, id).await;
    owner.top_up("20.00").await;
    let project = async |name: &str| {
        owner.post("/v1/projects", &json!({ "name": name })).await.text("/project_id")
    };
    let (search, ranking) = (project("search").await, project("ranking").await);
    let path = |project: &str| format!("/v1/projects/{project}/spending-limits");
    let rent = |project: &str| {
        let (sku_id, currency) = ("small", "USD");
        json!({ "sku_id": sku_id, "currency": currency, "ssh_public_key": SSH_KEY, "project_id": project })
    };

    let low = json!({ "currency": "USD", "warn": "0.10", "stop": "0.2" });
    let set = put_to(&owner, "low", &path(&search), &low).await;
    assert_eq!((set.status, &set.body["project_id"]), (200, &json!(search)), "{}", set.body);
    let limits = dollars(&set.body);
    assert_eq!((&limits["stop"], &limits["left"]), (&json!("0.20"), &json!("0.20")));
    assert_eq!(developer.get(&path(&search)).await.body, set.body);
    let others = [owner.get(&path(&ranking)).await, owner.get("/v1/spending-limits").await];
    assert!(others.iter().all(|it| dollars(&it.body).get("stop").is_none()));
    for (caller, key, path, body, code) in [
        (&developer, "a", path(&search), &low, "forbidden"),
        (&owner, "b", path("nothing"), &low, "unknown_project"),
        (
            &owner,
            "c",
            path(&search),
            &json!({ "currency": "USD", "warn": "9", "stop": "8" }),
            "spending_limits_invalid",
        ),
    ] {
        let refused = put_to(caller, key, &path, body).await;
        assert_eq!(refused.code(), code, "{}", refused.body);
    }
    let stranger = stage.caller(Role::Owner).await;
    let theirs = put_to(&stranger, "d", &path(&search), &low).await;
    assert_eq!((theirs.status, theirs.code()), (404, "unknown_project"));

    // An hour of it is 3.60.
    let would = owner.post("/v1/allocations?preview=true", &rent(&search)).await;
    assert_eq!(would.code(), "spending_limit_reached", "{}", would.body);
    assert!(would.text("/detail").contains(&search), "{}", would.body);
    let rented = owner.post("/v1/allocations", &rent(&search)).await.header("location").to_owned();
    let found = owner.until(&rented, |rental| rental["status"] == "rejected").await;
    assert_eq!(found["failure"]["code"], "spending_limit_reached", "{found}");
    let named = found["failure"]["message"].as_str().unwrap();
    assert!(named.contains(&search), "{named}");
    let rented = owner.post("/v1/allocations", &rent(&ranking)).await.header("location").to_owned();
    owner.until(&rented, |rental| rental["status"] == "active").await;
    stage.strike().await;
}

/// One runs in a project, one in none, and in the other project nothing. Nothing comes of asking.
#[sqlx::test(migrations = "../migrations")]
async fn what_a_limit_of_a_project_would_stop_is_said_before(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set_among(options, |parts| {
        let settings = &mut parts.runner.settings;
        (settings.runway_seconds, settings.wind_down_seconds) = (5, 0);
    });
    let stage = stage.await;
    stage.open_shop(&stage.caller(Role::PlatformOperator).await).await;
    let mut person = Person::signed_in(&stage, "ada@example.org").await;
    let owner = stage.caller_of(Role::Owner, person.found("ada").await).await;
    owner.top_up("20.00").await;
    let mut projects = vec![];
    for name in ["busy", "idle"] {
        let made = owner.post("/v1/projects", &json!({ "name": name })).await;
        projects.push(made.text("/project_id"));
    }
    let mut rent = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": SSH_KEY });
    let elsewhere = owner.post("/v1/allocations", &rent).await.header("location").to_owned();
    rent["project_id"] = json!(projects[0]);
    let rented = owner.post("/v1/allocations", &rent).await.header("location").to_owned();
    for path in [&elsewhere, &rented] {
        owner.until(path, |rental| rental["status"] == "active").await;
    }
    let [busy, idle] =
        [0, 1].map(|nth: usize| format!("/v1/projects/{}/spending-limits", projects[nth]));
    let would = async |path: &str, stop: &str| {
        let body = json!({ "currency": "USD", "stop": stop });
        put_to(&owner, "would", &format!("{path}?preview=true"), &body).await
    };
    let narrow = would(&busy, "0").await;
    let (stops, keeps) = (&narrow.body["stops"], &narrow.body["keeps"][0]);
    assert_eq!(narrow.body["would"], "set_project_spending_limits", "{}", narrow.body);
    assert_eq!(stops.as_array().map(Vec::len), Some(1), "{}", narrow.body);
    let id = stops[0]["id"].as_str().unwrap();
    assert!(rented.ends_with(id), "{}", narrow.body);
    assert_eq!(stops[0]["why"], "spending_limit", "{}", narrow.body);
    assert_eq!((&keeps["kind"], &keeps["id"]), (&json!("data"), &json!(id)), "{}", narrow.body);
    for (path, stop) in [(&busy, "1000.00"), (&idle, "0")] {
        let found = would(path, stop).await;
        assert_eq!((found.status, &found.body["stops"]), (200, &json!([])), "{}", found.body);
    }
    let wrong = would(&busy, "-1").await;
    assert_eq!((wrong.status, wrong.code()), (422, "amount_not_positive"), "{}", wrong.body);
    let seen = owner.get(&busy).await;
    assert!(dollars(&seen.body).get("stop").is_none(), "{}", seen.body);
    stage.strike().await;
}
