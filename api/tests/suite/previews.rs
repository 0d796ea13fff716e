//! Previews: what they say is what happens then, what they refuse is refused, and nothing comes of them.
use cairn_api::http::edge::preview::{PREVIEWED, WITHOUT, is_previewed};
use cairn_core::Timestamp;
use cairn_core::money::parse_nanos;
use cairn_identity::Role;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;
use crate::openapi::operations;
use crate::person::{PASSWORD, Person};
use crate::support::{Answer, Caller, HOME, MASTER_KEY, SSH_KEY, Stage, answer};

fn nanos(value: &Value) -> i64 {
    parse_nanos(value.as_str().unwrap_or_else(|| panic!("{value} is no amount"))).unwrap()
}

fn micros(value: &Value) -> i64 {
    value.as_str().unwrap().parse::<Timestamp>().unwrap().as_micros()
}

/// Asks what a request would do, without a key.
async fn preview(caller: &Caller, path: &str, body: &Value) -> Answer {
    let path = format!("{path}?preview=true");
    answer(caller.request(Method::POST, &path).json(body)).await
}

/// The same, of one that has a preview: nothing of it is in the log, nor under any command.
async fn would(stage: &Stage, caller: &Caller, (path, body): (&str, &Value)) -> Value {
    let found = preview(caller, path, body).await;
    assert_eq!(found.status, 200, "{path}: {}", found.body);
    assert_eq!(found.body["preview"], true);
    unwritten(stage, &found).await;
    found.body
}

/// Nothing was written in a request's name, and none of what it imagined.
async fn unwritten(stage: &Stage, answer: &Answer) {
    let pool = stage.commands.executor.log().pool();
    let written: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM events WHERE metadata::text LIKE '%' || $1 || '%')
              + (SELECT count(*) FROM commands WHERE command_id LIKE '%preview:%' OR command_id LIKE 'rehearsal:%')",
    )
    .bind(answer.header("x-request-id"))
    .fetch_one(pool)
    .await
    .unwrap();
    assert_eq!(written, 0, "a preview wrote something: {}", answer.body);
}

/// What it is refused with is what the request itself is refused with.
async fn refused_alike(caller: &Caller, (path, body): (&str, &Value), code: &str) {
    let (asked, done) = (preview(caller, path, body).await, caller.post(path, body).await);
    assert_eq!((asked.status, asked.code()), (done.status, done.code()), "{path}: {}", asked.body);
    assert_eq!(asked.code(), code, "{path}: {}", asked.body);
}

fn rent() -> Value {
    json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": SSH_KEY })
}

async fn head(stage: &Stage) -> i64 {
    stage.commands.executor.log().head().await.unwrap()
}

async fn wallet(owner: &Caller) -> Value {
    owner.get("/v1/balance").await.body["items"][0].clone()
}

/// Usage is charged as soon as the node proves it.
async fn quick(options: PgConnectOptions) -> Stage {
    let stage = Stage::set_among(options, |parts| {
        parts.runner.settings.tick_lag_seconds = 0;
        parts.runner.settings.watch_seconds = 1;
    });
    stage.await
}

/// Refused alike, whatever is wrong; leaves twenty dollars.
async fn what_is_no_rental_is_no_preview(stage: &Stage, owner: &Caller) {
    let path = "/v1/allocations";
    // Whoever has nothing is told by the preview what the rental itself comes to.
    let poor = preview(owner, path, &rent()).await;
    assert_eq!((poor.status, poor.code()), (402, "insufficient_funds"), "{}", poor.body);
    unwritten(stage, &poor).await;
    let rental = owner.post(path, &rent()).await.header("location").to_owned();
    let rejected = owner.until(&rental, |rental| rental["status"] == "rejected").await;
    assert_eq!(rejected["failure"]["code"], "insufficient_funds");

    owner.top_up("20.00").await;
    for (member, value, code) in [
        ("sku_id", "none", "unknown_sku"),
        ("currency", "EUR", "price_missing"),
        ("ssh_public_key", "ssh-ed25519 AAAA", "ssh_public_key_invalid"),
        ("node_id", "here", "body_invalid"),
    ] {
        let mut wrong = rent();
        wrong[member] = json!(value);
        refused_alike(owner, (path, &wrong), code).await;
    }
    let mut elsewhere = rent();
    elsewhere["node_id"] = json!("node_00000000000000000000000007");
    assert_eq!(preview(owner, path, &elsewhere).await.code(), "unknown_node");
    refused_alike(&stage.caller(Role::Viewer).await, (path, &rent()), "forbidden").await;
    refused_alike(&stage.nobody(), (path, &rent()), "unauthenticated").await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_a_rental_would_cost_is_what_it_then_costs(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options.clone()).await;
    let key = stage.path(MASTER_KEY);
    let shell = Shell::new(&options).with("CAIRN_PRIVACY_KEY", key.to_string_lossy());
    shell.json(&format!("finance taxes set {HOME} --rate 19 --exclusive")).await;
    let (owner, operator) =
        (stage.caller(Role::Owner).await, stage.caller(Role::PlatformOperator).await);
    stage.open_shop(&operator).await;
    let path = "/v1/allocations";
    what_is_no_rental_is_no_preview(&stage, &owner).await;
    let before = head(&stage).await;
    let told = would(&stage, &owner, (path, &rent())).await;
    assert_eq!(head(&stage).await, before, "a preview moved the log");
    let costs = &told["costs"];
    assert_eq!(
        (&told["would"], &costs["per_hour"]),
        (&json!("request_allocation"), &json!("4.284"))
    );
    assert_eq!((&costs["tax"]["percent"], &costs["charged"]), (&json!("19"), &json!("0.00")));
    assert_eq!(
        (&costs["set_aside"], &costs["available_before"]),
        (&json!("4.284"), &json!("20.00"))
    );
    let lasts = (micros(&told["runs_out_at"]) - micros(&told["at"])) / 1_000_000;
    assert_eq!(lasts, 20_000 * 3_600 / 4_284, "twenty dollars at 4.284 an hour");
    for list in ["stops", "starts", "keeps", "deletes"] {
        assert_eq!(told[list], json!([]), "{list}");
    }

    // What a key may not read it is not told on the way.
    let scopes = json!({ "name": "renter", "role": "owner", "scopes": ["compute:write"] });
    let made = owner.post("/v1/keys", &scopes).await;
    let renter = Caller { key: Some(made.text("/key")), ..owner.clone() };
    let less = would(&stage, &renter, (path, &rent())).await;
    let hidden = ["available_before", "available_after"].map(|it| less["costs"].get(it));
    assert_eq!((hidden, less.get("runs_out_at")), ([None, None], None), "{less}");
    assert_eq!(less["costs"]["per_hour"], costs["per_hour"]);

    // The key that comes with a preview is not used up.
    let asked = owner.request(Method::POST, &format!("{path}?preview=true"));
    let asked = answer(asked.header("idempotency-key", "kept").json(&rent())).await;
    assert_eq!(asked.status, 200, "{}", asked.body);
    let done = owner.post_as("kept", path, &rent()).await;
    assert_eq!((done.status, done.header("idempotency-replayed")), (201, ""), "{}", done.body);
    let rental = owner.until(done.header("location"), |it| it["status"] == "active").await;
    assert_eq!((&rental["per_hour"], &rental["tax"]), (&costs["per_hour"], &costs["tax"]));
    let held = wallet(&owner).await;
    assert_eq!(
        (&held["available"], &held["held"]),
        (&costs["available_after"], &costs["set_aside"])
    );
    // The money is there for three more, and no preview sets any of it aside.
    for _ in 0..4 {
        would(&stage, &owner, (path, &rent())).await;
    }
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_a_release_would_charge_and_delete_is_what_it_does(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = quick(options).await;
    let (owner, operator) =
        (stage.caller(Role::Owner).await, stage.caller(Role::PlatformOperator).await);
    stage.open_shop(&operator).await;
    owner.top_up("20.00").await;
    let rental = owner.post("/v1/allocations", &rent()).await.header("location").to_owned();
    let id = owner.until(&rental, |it| it["status"] == "active").await["allocation_id"].clone();
    let (release, price) = (format!("{rental}/release"), format!("{rental}/price"));

    let now = json!({ "amount": "7.20", "currency": "USD" });
    operator.post_upon("*", "/v1/skus/small/prices", &now).await;
    let stale = json!({ "price_version": 1 });
    refused_alike(&owner, (&price, &stale), "price_changed").await;
    let moved = would(&stage, &owner, (&price, &json!({ "price_version": 2 }))).await;
    let per_hour = (&moved["costs"]["per_hour_before"], &moved["costs"]["per_hour"]);
    assert_eq!(per_hour, (&json!("3.60"), &json!("7.20")));
    assert_eq!(owner.get(&rental).await.body["price_version"], 1, "a preview moved it");
    let stranger = stage.caller(Role::Owner).await;
    refused_alike(&stranger, (&price, &json!({ "price_version": 2 })), "unknown_allocation").await;
    refused_alike(&stranger, (&release, &json!({})), "unknown_allocation").await;
    let none = "/v1/allocations/alloc_00000000000000000000000007/release";
    refused_alike(&owner, (none, &json!({})), "unknown_allocation").await;

    let asked = preview(&owner, &release, &json!({})).await;
    assert_eq!(asked.status, 200, "{}", asked.body);
    unwritten(&stage, &asked).await;
    let (told, costs) = (&asked.body, &asked.body["costs"]);
    assert_eq!((&told["stops"][0]["id"], &told["stops"][0]["why"]), (&id, &json!("customer")));
    assert_eq!((&told["deletes"][0]["kind"], &told["deletes"][0]["id"]), (&json!("data"), &id));
    assert_eq!((&told["stops"][0]["at"], told.get("runs_out_at")), (&told["at"], None));
    let after =
        nanos(&costs["available_before"]) - nanos(&costs["charged"]) - nanos(&costs["set_aside"]);
    let after_all = nanos(&costs["available_after"]);
    assert_eq!(after, after_all, "{costs}");
    assert_eq!(20_000_000_000 - nanos(&costs["charged_in_all"]), after_all);
    assert_eq!(owner.get(&rental).await.body["status"], "active", "a preview released it");
    let theirs = would(&stage, &operator, (&release, &json!({}))).await;
    assert_eq!((&theirs["stops"][0]["why"], theirs.get("costs")), (&json!("operator"), None));

    assert_eq!(owner.post(&release, &json!({})).await.status, 202);
    let ended = owner.until(&rental, |it| it["status"] == "released").await;
    // The seconds in between are all that was not known.
    let charged = nanos(&ended["charged"]) - nanos(&costs["charged_in_all"]);
    let seconds =
        ended["active_seconds"].as_i64().unwrap() - nanos(&costs["charged_in_all"]) / 1_000_000;
    assert_eq!(charged, seconds * 1_000_000, "{costs} {ended}");
    assert!((0..60).contains(&seconds), "{seconds}");
    refused_alike(&owner, (&price, &json!({ "price_version": 2 })), "allocation_in_wrong_state")
        .await;
    stage.strike().await;
}

#[test]
fn of_every_change_it_is_decided_whether_it_has_a_preview() {
    let all: Vec<_> = operations().into_iter().filter(|it| it.method != Method::GET).collect();
    for operation in &all {
        let named = |list: &[&str]| list.iter().filter(|name| **name == operation.id).count();
        let decided = (named(PREVIEWED), named(WITHOUT));
        assert!([(1, 0), (0, 1)].contains(&decided), "{}: {decided:?}", operation.id);
    }
    assert_eq!(all.len(), PREVIEWED.len() + WITHOUT.len(), "a list names what is none");
}

/// What the provider knows.
fn book(stage: &Stage) -> String {
    format!("{:?}", stage.provider.simulator.book())
}

#[sqlx::test(migrations = "../migrations")]
async fn what_money_would_come_and_go_is_what_does_and_the_provider_is_not_asked(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let owner = stage.caller(Role::Owner).await;
    let (before, known) = (head(&stage).await, book(&stage));
    let pay = json!({ "amount": "20.00", "currency": "USD", "payment_method": "pm_card_visa" });
    let told = would(&stage, &owner, ("/v1/top-ups", &pay)).await;
    let costs = &told["costs"];
    assert_eq!((&costs["paid_in"], &costs["available_before"]), (&json!("20.00"), &json!("0.00")));
    assert_eq!((&costs["available_after"], told.get("runs_out_at")), (&json!("20.00"), None));
    let cents = json!({ "amount": "20.001", "currency": "USD" });
    refused_alike(&owner, ("/v1/top-ups", &cents), "not_whole_minor_units").await;
    let none = json!({ "amount": "-1", "currency": "USD" });
    refused_alike(&owner, ("/v1/top-ups", &none), "body_invalid").await;
    assert_eq!((head(&stage).await, book(&stage)), (before, known), "something was done");
    let top_up = owner.top_up("20.00").await;
    assert_eq!(wallet(&owner).await["available"], costs["available_after"]);

    let (before, known) = (head(&stage).await, book(&stage));
    let refunds = "/v1/refunds";
    let back = json!({ "top_up_id": top_up, "amount": "5.00", "currency": "USD" });
    let told = would(&stage, &owner, (refunds, &back)).await;
    let costs = &told["costs"];
    assert_eq!((&costs["refunded"], &costs["available_after"]), (&json!("5.00"), &json!("15.00")));
    let all = would(&stage, &owner, (refunds, &json!({ "top_up_id": top_up }))).await;
    assert_eq!(all["costs"]["refunded"], "20.00", "all that is left");
    assert_eq!((head(&stage).await, book(&stage)), (before, known), "something was done");
    let more = json!({ "top_up_id": top_up, "amount": "25.00", "currency": "USD" });
    let euros = json!({ "top_up_id": top_up, "amount": "5.00", "currency": "EUR" });
    refused_alike(&owner, (refunds, &more), "exceeds_refundable").await;
    refused_alike(&owner, (refunds, &euros), "currency_mismatch").await;
    refused_alike(&stage.caller(Role::Owner).await, (refunds, &back), "unknown_payment").await;
    let refund = owner.post(refunds, &back).await.text("/refund_id");
    owner.until(&format!("{refunds}/{refund}"), |it| it["status"] == "succeeded").await;
    owner.until("/v1/balance", |it| it["items"][0]["available"] == "15.00").await;
    stage.strike().await;
}

async fn what_a_drain_would_stop(
    stage: &Stage,
    (operator, owner): (&Caller, &Caller),
    active: &Value,
) {
    let id = &active["allocation_id"];
    let rental = format!("/v1/allocations/{}", id.as_str().unwrap());
    let node = format!("/v1/nodes/{}", active["node_id"].as_str().unwrap());
    let why = json!({ "reason": "old" });
    let (drain, retire) = (format!("{node}/drain"), format!("{node}/retire"));
    refused_alike(owner, (&drain, &why), "forbidden").await;
    refused_alike(operator, (&drain, &json!({ "reason": "" })), "reason_needed").await;
    refused_alike(operator, (&retire, &why), "precondition_required").await;
    let upon = async |path: &str| {
        let request = operator.request(Method::POST, &format!("{path}?preview=true"));
        answer(request.header("if-match", "*").json(&why)).await
    };
    let used = (upon(&retire).await, operator.post_upon("*", &retire, &why).await);
    assert_eq!((used.0.code(), used.1.code()), ("node_in_use", "node_in_use"));
    let told = upon(&drain).await;
    unwritten(stage, &told).await;
    let (stops, deletes) = (&told.body["stops"][0], &told.body["deletes"][0]);
    assert_eq!((&stops["id"], &stops["why"], &deletes["id"]), (id, &json!("operator"), id));
    assert_eq!(micros(&stops["at"]) - micros(&told.body["at"]), 1_000_000, "{}", told.body);
    assert_eq!(told.body.get("costs"), None, "an operator is not told of wallets");
    assert_eq!(operator.get(&node).await.body["policy"], "schedulable", "a preview drained it");
    // Done upon what the preview was about.
    let drained = operator.post_upon(told.header("etag"), &drain, &why).await;
    assert_eq!(drained.status, 200, "{}", drained.body);
    let ended = owner.until(&rental, |it| it["status"] == "released").await;
    assert_eq!(ended["release_reason"], "operator");
    let told = upon(&retire).await;
    assert_eq!((&told.body["stops"][0]["kind"], told.status), (&json!("node"), 200));
}

#[sqlx::test(migrations = "../migrations")]
async fn what_a_limit_or_a_drained_node_would_stop_is_what_stops(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set_among(options, |parts| {
        let settings = &mut parts.runner.settings;
        (settings.tick_lag_seconds, settings.watch_seconds) = (0, 1);
        (settings.runway_seconds, settings.wind_down_seconds) = (5, 0);
        settings.drain_seconds = 1;
    });
    let stage = stage.await;
    let (owner, operator) =
        (stage.caller(Role::Owner).await, stage.caller(Role::PlatformOperator).await);
    stage.open_shop(&operator).await;
    owner.top_up("20.00").await;
    let rental = owner.post("/v1/allocations", &rent()).await.header("location").to_owned();
    let active = owner.until(&rental, |it| it["status"] == "active").await;
    let id = &active["allocation_id"];

    let limit = |stop: &str| json!({ "currency": "USD", "stop": stop });
    let put = async |query: &str, stop: &str| {
        let request = owner.request(Method::PUT, &format!("/v1/spending-limits{query}"));
        answer(request.header("idempotency-key", stop).json(&limit(stop))).await
    };
    let wide = put("?preview=true", "10.00").await;
    assert_eq!((wide.status, &wide.body["stops"]), (200, &json!([])), "{}", wide.body);
    let costs = &wide.body["costs"];
    assert_eq!(
        costs["available_after"], costs["available_before"],
        "what is seen ahead is not yet"
    );
    assert_eq!((&costs["set_aside"], &costs["charged"]), (&json!("0.00"), &json!("0.00")));
    let wrong = put("?preview=true", "-1").await;
    assert_eq!((wrong.status, wrong.code()), (422, "amount_not_positive"));
    let narrow = put("?preview=true", "0").await;
    unwritten(&stage, &narrow).await;
    let (stops, keeps) = (&narrow.body["stops"][0], &narrow.body["keeps"][0]);
    assert_eq!((&stops["id"], &stops["why"]), (id, &json!("spending_limit")), "{}", narrow.body);
    let kept = (&keeps["kind"], &keeps["id"], keeps.get("until"));
    assert_eq!(kept, (&json!("data"), id, None), "nobody owes anything");
    let seen = owner.get("/v1/spending-limits").await.body;
    assert!(seen["items"].as_array().unwrap().iter().all(|it| it.get("stop").is_none()), "{seen}");
    assert_eq!(put("", "0").await.status, 200);
    let stopped = owner.until(&rental, |it| it["status"] == "suspended").await;
    let late = micros(&stopped["suspended_since"]) - micros(&stops["at"]);
    assert!(late.abs() < 10_000_000, "{stopped} {stops}");
    let again = put("?preview=true", "10.00").await;
    assert_eq!(again.body["starts"][0]["id"], *id, "{}", again.body);
    assert_eq!(put("", "10.00").await.status, 200);
    let active = owner.until(&rental, |it| it["status"] == "active").await;

    what_a_drain_would_stop(&stage, (&operator, &owner), &active).await;
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_would_be_gone_is_named_and_still_there(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let operator = stage.caller(Role::PlatformOperator).await;
    stage.open_shop(&operator).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    let id = ada.found("Analytical Engines").await;
    let owner = stage.caller_of(Role::Owner, id).await;
    let key = owner.post("/v1/keys", &json!({ "name": "spare", "role": "viewer" })).await;
    let account = json!({ "name": "deployments", "role": "viewer" });
    let account = owner.post("/v1/service-accounts", &account).await;
    let endpoint = json!({ "url": "https://127.0.0.1:8443/", "event_types": [] });
    let endpoint = owner.post("/v1/webhook-endpoints", &endpoint).await;
    let (key, account) = (key.text("/key_id"), account.text("/service_account_id"));
    let endpoint = endpoint.text("/endpoint_id");
    let project = owner.post("/v1/projects", &json!({ "name": "search" })).await;
    let project = project.text("/project_id");
    let why = json!({ "reason": "old" });
    for (caller, path, body, list, kind, gone) in [
        (&owner, format!("/v1/keys/{key}/revoke"), &why, "stops", "api_key", key),
        (
            &owner,
            format!("/v1/service-accounts/{account}/remove"),
            &json!({}),
            "stops",
            "service_account",
            account,
        ),
        (
            &owner,
            format!("/v1/projects/{project}/archive"),
            &json!({}),
            "stops",
            "project",
            project,
        ),
        (
            &owner,
            format!("/v1/webhook-endpoints/{endpoint}/delete"),
            &json!({}),
            "deletes",
            "webhook_endpoint",
            endpoint,
        ),
        (
            &operator,
            format!("/v1/organisations/{id}/suspend"),
            &why,
            "stops",
            "organisation",
            id.to_string(),
        ),
    ] {
        let told = would(&stage, caller, (&path, body)).await;
        let named = (&told[list][0]["kind"], &told[list][0]["id"]);
        assert_eq!(named, (&json!(kind), &json!(gone)), "{path}: {told}");
        assert_eq!(told.get("costs"), None, "{path}");
        let done = caller.post(&path, body).await;
        assert_eq!(done.status, 200, "{path} was done by its preview: {}", done.body);
    }
    let retired = operator.request(Method::POST, "/v1/skus/small/retire?preview=true");
    let retired = answer(retired.header("if-match", "*").json(&json!({}))).await;
    assert_eq!(retired.body["stops"][0]["id"], "small", "{}", retired.body);
    let other = stage.caller(Role::Owner).await;
    let last = format!("/v1/members/{}/remove", ada.get("/v1/session").await.text("/user_id"));
    refused_alike(&other, (&last, &json!({})), "unknown_organisation").await;

    what_an_erasure_would_delete(&ada).await;
    stage.strike().await;
}

async fn what_an_erasure_would_delete(ada: &Person) {
    let grace = json!({ "password": PASSWORD, "confirm": "ada@example.org" });
    let erasure = "/v1/me/erasure";
    let told = ada.post(&format!("{erasure}?preview=true"), &grace).await;
    assert_eq!((told.status, &told.body["deletes"][0]["kind"]), (200, &json!("person")));
    let days = (micros(&told.body["deletes"][0]["at"]) - micros(&told.body["at"])) / 86_400_000_000;
    assert_eq!((days, ada.get(erasure).await.text("/status")), (14, "none".to_owned()));
    let guess = json!({ "password": "not-mine-at-all", "confirm": "ada@example.org" });
    let wrong = ada.post(&format!("{erasure}?preview=true"), &guess).await;
    assert_eq!((wrong.status, wrong.code()), (401, "sign_in_failed"), "{}", wrong.body);
}

#[sqlx::test(migrations = "../migrations")]
async fn whatever_has_no_preview_refuses_to_be_asked_for_one_and_does_nothing(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let operator = stage.caller(Role::PlatformOperator).await;
    let before = head(&stage).await;
    let mut previewed = 0;
    for operation in operations() {
        let named = operation.path.split('/').map(|part| match part.starts_with('{') {
            true => "none",
            false => part,
        });
        let path = named.collect::<Vec<_>>().join("/");
        let says = operation.body["parameters"].as_array().into_iter().flatten();
        let says = says.filter(|it| it["in"] == "query" && it["name"] == "preview").count() == 1;
        assert_eq!(says, is_previewed(&operation.id), "{}: the document", operation.id);
        let queries: &[&str] = match is_previewed(&operation.id) {
            true => &["preview=maybe", "preview=", "preview=true&preview=true", "prewiev=true"],
            false => &["preview=true", "preview=false", "Preview=true"],
        };
        previewed += usize::from(says);
        for query in queries {
            let asked = operator.request(operation.method.clone(), &format!("{path}?{query}"));
            let asked = asked.header("idempotency-key", "k").header("if-match", "*");
            let found = answer(asked.json(&json!({}))).await;
            let said = (found.status, found.code());
            assert_eq!(said, (400, "query_invalid"), "{} {query}: {}", operation.id, found.body);
        }
    }
    assert_eq!(previewed, PREVIEWED.len(), "one names nothing");
    assert_eq!(head(&stage).await, before, "something was done");
    stage.strike().await;
}
