//! Prices with tiers: set by an operator, shown before anybody rents, kept by rentals, and charged and proven by the seconds in each.
use cairn_api::charges::ChargeProof;
use cairn_core::Tiers;
use cairn_core::money::parse_nanos;
use cairn_identity::Role;
use cairn_seal::{KeyDirectory, PublicKeys};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::charges::proof;
use crate::privacy::ssh_key;
use crate::support::{Caller, Stage, answer};

/// Nanos of a second at 3.60 an hour.
const SECOND: i64 = 1_000_000;

fn nanos(value: &Value) -> i64 {
    parse_nanos(value.as_str().unwrap()).unwrap()
}

fn tiers(all: &[(i64, &str)]) -> Value {
    let tier = |(from, amount): &(i64, &str)| json!({ "from_seconds": from, "amount": amount });
    json!({ "currency": "USD", "tiers": all.iter().map(tier).collect::<Vec<_>>() })
}

fn shown(all: &[(i64, &str)]) -> Value {
    let tier = |(from, price): &(i64, &str)| json!({ "from_seconds": from, "per_hour": price });
    all.iter().map(tier).collect()
}

async fn refused(operator: &Caller) {
    let path = "/v1/skus/small/prices";
    let both = json!({ "currency": "USD", "amount": "1", "tiers": [] });
    for (body, pointer, code) in [
        (json!({ "currency": "USD" }), "/amount", "price_tiers_invalid"),
        (both, "/tiers", "price_tiers_invalid"),
        (tiers(&[(5, "1")]), "/tiers/0/from_seconds", "price_tiers_invalid"),
        (tiers(&[(0, "1"), (0, "2")]), "/tiers/1/from_seconds", "price_tiers_invalid"),
        (tiers(&[(0, "1"), (9, "0")]), "/tiers/1/amount", "amount_not_positive"),
    ] {
        let answer = operator.post_upon("*", path, &body).await;
        let first = &answer.body["errors"][0];
        assert_eq!((&first["pointer"], &first["code"]), (&json!(pointer), &json!(code)));
    }
    let dear = operator.post_upon("*", path, &tiers(&[(0, "1"), (9, "1000001")])).await;
    assert_eq!((dear.status, dear.code()), (422, "price_invalid"), "{}", dear.body);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rental_pays_each_second_in_its_own_tier(_: PgPoolOptions, options: PgConnectOptions) {
    // Usage is charged as soon as the node proves it, and it is asked each second.
    let stage = Stage::set_among(options, |parts| {
        parts.runner.settings.tick_lag_seconds = 0;
        parts.runner.settings.watch_seconds = 1;
    });
    let stage = stage.await;
    let (owner, operator) =
        (stage.caller(Role::Owner).await, stage.caller(Role::PlatformOperator).await);
    stage.open_shop(&operator).await;
    refused(&operator).await;
    let all = [(0, "3.60"), (1, "7.20"), (3_600, "0.36")];
    let set = operator.post_upon("*", "/v1/skus/small/prices", &tiers(&all)).await;
    assert_eq!(set.status, 200, "{}", set.body);
    let sku = owner.until("/v1/skus/small", |sku| sku["prices"][0]["version"] == 2).await;
    let price = &sku["prices"][0];
    assert_eq!((&price["per_hour"], &price["tiers"]), (&json!("3.60"), &shown(&all)));

    owner.top_up("20.00").await;
    let wish = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": ssh_key() });
    let request = owner.request(reqwest::Method::POST, "/v1/allocations?preview=true");
    let preview = answer(request.json(&wish)).await;
    assert_eq!(preview.body["costs"]["tiers"], shown(&all), "{}", preview.body);
    // An hour from the beginning: a second in the first tier, the rest in the second.
    assert_eq!(nanos(&preview.body["costs"]["set_aside"]), SECOND + 3_599 * 2 * SECOND);
    let path = owner.post("/v1/allocations", &wish).await.header("location").to_owned();
    let rental = owner.until(&path, |rental| rental["active_seconds"].as_i64() >= Some(2)).await;
    assert_eq!((&rental["per_hour"], &rental["tiers"]), (&json!("7.20"), &shown(&all)));
    let released = owner.post(&format!("{path}/release"), &json!({})).await;
    assert_eq!(released.status, 202, "{}", released.body);
    let rental = owner.until(&path, |rental| rental["status"] == "released").await;
    let seconds = rental["active_seconds"].as_i64().unwrap();
    assert_eq!(nanos(&rental["charged"]), SECOND + (seconds - 1) * 2 * SECOND, "{rental}");
    proven(&stage, &owner, nanos(&rental["charged"])).await;
    stage.strike().await;
}

/// The sum can be done again, and with other tiers it is another one.
async fn proven(stage: &Stage, owner: &Caller, charged: i64) {
    let statement = owner
        .until("/v1/statement", |page| {
            let lines = page["items"].as_array().unwrap().iter();
            let usage = lines.filter(|line| line["kind"] == "usage");
            usage.map(|line| -nanos(&line["amount"])).sum::<i64>() == charged
        })
        .await;
    let last = statement["items"].as_array().unwrap();
    let last = last.iter().find(|line| line["kind"] == "usage").unwrap();
    let answer = proof(owner, last).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let keys = PublicKeys::read(&KeyDirectory::at(stage.path("keys")).public_path()).unwrap();
    let proven = ChargeProof::from_json(&answer.body.to_string()).unwrap();
    assert_eq!(proven.check(&keys), Ok(()));
    assert_eq!((proven.charge.total_nanos, proven.charge.tiers.later().len()), (charged, 2));
    let mut flat = proven.clone();
    flat.charge.tiers = Tiers::NONE;
    assert!(flat.check(&keys).unwrap_err().to_string().contains("the tiers"));
    let mut cheaper = proven;
    let requested = &mut cheaper.events[0].event;
    assert!(requested.payload.contains("7200000000"), "{}", requested.payload);
    requested.payload = requested.payload.replace("7200000000", "7100000000");
    assert!(cheaper.check(&keys).is_err(), "the tiers are sealed with the event");
}
