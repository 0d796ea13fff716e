//! Bad input gets a clear error and loses nothing.
use cairn_identity::Role;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::openapi::operations;
use crate::support::{Answer, Caller, SSH_KEY, Stage, answer};

async fn raw(caller: &Caller, path: &str, content_type: &str, body: Vec<u8>) -> Answer {
    let request = caller.request(Method::POST, path).header("idempotency-key", "raw");
    answer(request.header("content-type", content_type).body(body)).await
}

fn expect(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code()), (status, code), "{}", answer.body);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.body["type"], format!("/docs/errors/{code}"));
    assert_eq!(answer.body["request_id"], answer.header("x-request-id"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_body_that_is_none_is_refused(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let customer = stage.caller(Role::Owner).await;
    let head = stage.commands.executor.log().head().await.unwrap();
    let post = |kind: &'static str, body: Vec<u8>| raw(&customer, "/v1/top-ups", kind, body);
    let json = "application/json";
    expect(&post(json, b"{".to_vec()).await, 400, "body_malformed");
    expect(&post(json, b"\xff\xfe".to_vec()).await, 400, "body_malformed");
    expect(&post("text/plain", b"{}".to_vec()).await, 415, "content_type_unsupported");
    expect(&post(json, vec![b' '; 70_000]).await, 413, "body_too_large");
    expect(&post(json, "[".repeat(5_000).into_bytes()).await, 400, "body_malformed");
    expect(&post(json, vec![]).await, 422, "body_invalid");
    let no_key = customer.request(Method::POST, "/v1/top-ups").json(&json!({}));
    expect(&answer(no_key).await, 400, "idempotency_key_missing");
    let odd_key = customer.request(Method::POST, "/v1/top-ups").header("idempotency-key", "a b");
    let odd_key = odd_key.json(&json!({}));
    expect(&answer(odd_key).await, 400, "idempotency_key_invalid");
    assert_eq!(stage.commands.executor.log().head().await.unwrap(), head, "something was written");
    stage.strike().await;
}

/// Where it is posted, what, the member that is wrong, and why.
fn wrong_members() -> [(&'static str, Value, &'static str, &'static str); 12] {
    let top_up = |amount: &str, currency: &str| json!({ "amount": amount, "currency": currency });
    [
        ("/v1/top-ups", top_up("-5", "USD"), "/amount", "amount_not_positive"),
        ("/v1/top-ups", top_up("0", "USD"), "/amount", "amount_not_positive"),
        ("/v1/top-ups", top_up("1e9", "USD"), "/amount", "amount_malformed"),
        ("/v1/top-ups", top_up("5.0000000001", "USD"), "/amount", "amount_malformed"),
        ("/v1/top-ups", top_up("99999999999", "USD"), "/amount", "amount_too_large"),
        ("/v1/top-ups", json!({ "amount": 5, "currency": "USD" }), "/amount", "body_invalid"),
        ("/v1/top-ups", top_up("5", "XXX"), "/currency", "currency_unknown"),
        ("/v1/top-ups", top_up("5", "usd"), "/currency", "currency_unknown"),
        (
            "/v1/top-ups",
            json!({ "amount": "5", "currency": "USD", "bonus": 1 }),
            "/bonus",
            "body_invalid",
        ),
        (
            "/v1/top-ups",
            json!({ "amount": "5", "currency": "USD", "payment_method": "a b" }),
            "/payment_method",
            "body_invalid",
        ),
        ("/v1/refunds", json!({ "top_up_id": "x", "amount": "5" }), "/currency", "body_invalid"),
        (
            "/v1/allocations",
            json!({ "sku_id": "s", "currency": "USD", "ssh_public_key": SSH_KEY, "node_id": "n" }),
            "/node_id",
            "body_invalid",
        ),
    ]
}

#[sqlx::test(migrations = "../migrations")]
async fn every_wrong_member_is_pointed_at(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let customer = stage.caller(Role::Owner).await;
    for (path, body, pointer, code) in wrong_members() {
        let refused = customer.post(path, &body).await;
        expect(&refused, 422, "body_invalid");
        let first = &refused.body["errors"][0];
        assert_eq!((&first["pointer"], &first["code"]), (&json!(pointer), &json!(code)), "{body}");
    }
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_the_business_refuses_has_its_own_code(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let (operator, customer) =
        (stage.caller(Role::PlatformOperator).await, stage.caller(Role::Owner).await);
    stage.open_shop(&operator).await;
    let rent = |sku: &str, currency: &str, key: &str| json!({ "sku_id": sku, "currency": currency, "ssh_public_key": key });
    let top_up = |amount: &str| json!({ "amount": amount, "currency": "USD" });
    let sku = |id: &str, memory: u64| {
        let resources = json!({
            "cpu_millis": 1, "memory_bytes": memory, "disk_bytes": 64 << 20, "pids_max": 1
        });
        json!({ "sku_id": id, "resources": resources })
    };
    let cases = [
        (&customer, "/v1/top-ups", top_up("0.01"), 422, "amount_out_of_range"),
        (&customer, "/v1/top-ups", top_up("5.001"), 422, "not_whole_minor_units"),
        (&customer, "/v1/allocations", rent("none", "USD", SSH_KEY), 404, "unknown_sku"),
        (&customer, "/v1/allocations", rent("small", "EUR", SSH_KEY), 409, "price_missing"),
        (
            &customer,
            "/v1/allocations",
            rent("small", "USD", "ssh-rsa x"),
            422,
            "ssh_public_key_invalid",
        ),
        (&operator, "/v1/skus", sku("Bad Id", 64 << 20), 422, "sku_id_invalid"),
        (&operator, "/v1/skus", sku("tiny", 1), 422, "sku_resources_invalid"),
        (&operator, "/v1/nodes", json!({ "name": "Not OK" }), 422, "node_name_invalid"),
    ];
    for (caller, path, body, status, code) in cases {
        expect(&caller.post(path, &body).await, status, code);
    }
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn addresses_and_queries_are_checked(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let customer = stage.caller(Role::Owner).await;
    expect(&customer.get("/v1/nothing").await, 404, "route_not_found");
    for limit in ["0", "201"] {
        expect(&customer.get(&format!("/v1/top-ups?limit={limit}")).await, 400, "query_invalid");
    }
    expect(&customer.get("/v1/top-ups?limit=many").await, 400, "query_invalid");
    expect(&customer.get("/v1/top-ups?page=2").await, 400, "query_invalid");
    expect(&customer.get("/v1/top-ups?cursor=zzz").await, 400, "cursor_invalid");
    expect(&customer.get("/v1/statement?currency=XXX").await, 400, "query_invalid");
    expect(&customer.get("/v1/balance?currency=XXX").await, 400, "query_invalid");
    expect(&customer.get("/v1/balance?min_position=999999").await, 400, "position_unknown");
    expect(&customer.get("/v1/balance?min_position=-1").await, 400, "query_invalid");
    let header = |text| {
        customer
            .request(Method::GET, "/v1/balance?min_position=0")
            .header("cairn-min-position", text)
    };
    expect(&answer(header("-1")).await, 400, "query_invalid");
    expect(&answer(header("999999")).await, 400, "position_unknown");
    let removed = customer.request(Method::DELETE, "/v1/balance");
    expect(&answer(removed).await, 405, "method_not_allowed");
    let named = customer.request(Method::GET, "/v1/nothing").header("x-request-id", "my-request-7");
    assert_eq!(answer(named).await.body["request_id"], "my-request-7");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_the_database_cannot_hold_never_reaches_it(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let (operator, customer) =
        (stage.caller(Role::PlatformOperator).await, stage.caller(Role::Owner).await);
    let invited = operator.post("/v1/nodes", &json!({ "name": "n1" })).await;
    let cordon = format!("/v1/nodes/{}/cordon", invited.text("/node_id"));
    let long = "x".repeat(60_000);
    let price = json!({ "amount": "1", "currency": "USD" });
    let rent = json!({ "sku_id": "a\u{0}", "currency": "USD", "ssh_public_key": SSH_KEY });
    expect(&customer.get("/v1/allocations/%00").await, 404, "route_not_found");
    expect(&customer.get("/v1/statement?currency=%00").await, 400, "query_invalid");
    expect(&customer.post("/v1/allocations", &rent).await, 422, "body_invalid");
    expect(&operator.post(&cordon, &json!({ "reason": "\u{0}" })).await, 422, "body_invalid");
    expect(&operator.post(&cordon, &json!({ "reason": long })).await, 422, "reason_needed");
    expect(&operator.post("/v1/skus/a%00/retire", &json!({})).await, 404, "route_not_found");
    let endless = format!("/v1/skus/{}/prices", &long[..6_000]);
    expect(&operator.post_upon("*", &endless, &price).await, 404, "unknown_sku");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_name_that_is_no_text_names_nothing_on_any_route(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let roles = [Role::Owner, Role::PlatformOperator];
    let (owner, operator) = (stage.caller(roles[0]).await, stage.caller(roles[1]).await);
    let named: Vec<_> = operations().into_iter().filter(|o| o.path.contains('{')).collect();
    assert!(named.len() > 8);
    for operation in named {
        let open = operation.path.find('{').unwrap();
        let close = operation.path.find('}').unwrap();
        let (head, tail) = (&operation.path[..open], &operation.path[close + 1..]);
        for name in ["%FF", "%C3%28", "%00", "a%E2%82"] {
            let path = format!("{head}{name}{tail}");
            for caller in [&owner, &operator, &stage.nobody()] {
                let request = caller.request(operation.method.clone(), &path);
                let request = request.header("idempotency-key", "k").json(&json!({}));
                expect(&answer(request).await, 404, "route_not_found");
            }
        }
    }
    expect(&owner.get("/v1/statement?currency=%FF").await, 400, "query_invalid");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_sku_that_cannot_be_is_unknown_and_leaves_no_trace(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let (operator, customer) =
        (stage.caller(Role::PlatformOperator).await, stage.caller(Role::Owner).await);
    stage.open_shop(&operator).await;
    let rent = |sku: &str| json!({ "sku_id": sku, "currency": "USD", "ssh_public_key": SSH_KEY });
    let (long, price) = ("x".repeat(50_000), json!({ "amount": "1", "currency": "USD" }));
    for sku in [long.as_str(), "", "Small", "../small"] {
        let refused = customer.post_as("absurd", "/v1/allocations", &rent(sku)).await;
        expect(&refused, 404, "unknown_sku");
    }
    for (path, body) in [("/v1/skus/BAD/prices", &price), ("/v1/skus/BAD/retire", &json!({}))] {
        let request = operator.request(Method::POST, path).header("if-match", "*");
        let absurd = answer(request.header("idempotency-key", "absurd").json(body)).await;
        expect(&absurd, 404, "unknown_sku");
    }
    let meant = customer.post_as("absurd", "/v1/allocations", &rent("small")).await;
    assert_eq!(meant.status, 201, "the key was not used up: {}", meant.body);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_list_is_paged_without_gaps(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let customer = stage.caller(Role::Owner).await;
    let wish = json!({ "amount": "5.00", "currency": "USD" });
    let mut made = vec![];
    let mut position = String::new();
    for _ in 0..5 {
        let asked = customer.post("/v1/top-ups", &wish).await;
        made.push(asked.text("/top_up_id"));
        position = asked.header("cairn-position").to_owned();
    }
    let mut path = format!("/v1/top-ups?limit=2&min_position={position}");
    let mut seen = vec![];
    loop {
        let page = customer.get(&path).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let items = page.body["items"].as_array().unwrap();
        seen.extend(items.iter().map(|item| item["top_up_id"].as_str().unwrap().to_owned()));
        match page.body["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/top-ups?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    made.reverse();
    assert_eq!(seen, made);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_cursor_leads_nowhere_but_where_it_was_given_out(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let (owner, stranger) = (stage.caller(Role::Owner).await, stage.caller(Role::Owner).await);
    let colleague = stage.caller_of(Role::Viewer, owner.organisation_id).await;
    for _ in 0..3 {
        owner.top_up("5.00").await;
    }
    let first = owner.get("/v1/statement?limit=1&currency=USD").await;
    let cursor = first.text("/next_cursor");
    let at = |path: &str, cursor: &str| format!("{path}?limit=1&currency=USD&cursor={cursor}");
    let second = owner.get(&at("/v1/statement", &cursor)).await;
    assert_eq!(second.status, 200, "{}", second.body);
    assert_ne!(second.body["items"], first.body["items"]);
    let theirs = colleague.get(&at("/v1/statement", &cursor)).await;
    assert_eq!(theirs.body["items"], second.body["items"], "it is the organisation's");
    let expect_none = |answer: Answer, what: &str| {
        assert_eq!((answer.status, answer.code()), (400, "cursor_invalid"), "{what}");
    };
    expect_none(stranger.get(&at("/v1/statement", &cursor)).await, "another organisation");
    expect_none(owner.get(&at("/v1/balance", &cursor)).await, "another list");
    let other = format!("/v1/statement?limit=1&currency=EUR&cursor={cursor}");
    expect_none(owner.get(&other).await, "the same list, narrowed otherwise");
    expect_none(owner.get(&format!("/v1/top-ups?cursor={cursor}")).await, "another list");
    for place in 0..cursor.len() {
        let mut forged = cursor.clone().into_bytes();
        forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        expect_none(owner.get(&at("/v1/statement", &forged)).await, &forged);
    }
    for made_up in ["", "MTpw", "AAAAAAAAAAAAAAAAAAAAAA", "____"] {
        expect_none(owner.get(&at("/v1/statement", made_up)).await, made_up);
    }
    stage.strike().await;
}
