//! Taxes and prices of what runs: set by finance, kept by rentals, told of every charge, and moved on purpose only; and what was used.
use std::time::Duration;

use cairn_api::charges::ChargeProof;
use cairn_core::money::parse_nanos;
use cairn_identity::Role;
use cairn_seal::{KeyDirectory, PublicKeys};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::charges::proof;
use crate::cli::Shell;
use crate::privacy::ssh_key;
use crate::support::{Caller, HOME, MASTER_KEY, Stage};

fn nanos(value: &Value) -> i64 {
    parse_nanos(value.as_str().unwrap()).unwrap()
}

/// Usage is charged as soon as the node proves it, and it is asked each second.
async fn quick(options: PgConnectOptions) -> Stage {
    let stage = Stage::set_among(options, |parts| {
        parts.runner.settings.tick_lag_seconds = 0;
        parts.runner.settings.watch_seconds = 1;
    });
    stage.await
}

async fn charges(owner: &Caller) -> Vec<Value> {
    let statement = owner.get("/v1/statement").await;
    let lines = statement.body["items"].as_array().unwrap().clone();
    lines.into_iter().filter(|line| line["kind"] == "usage").collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rental_keeps_its_price_and_tax_until_it_is_moved(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = quick(options.clone()).await;
    let key = stage.path(MASTER_KEY);
    let shell = Shell::new(&options).with("CAIRN_PRIVACY_KEY", key.to_string_lossy());
    let set = shell.json(&format!("finance taxes set {HOME} --rate 19 --exclusive")).await;
    assert_eq!((&set[0]["percent"], &set[0]["current"]), (&json!("19"), &json!(true)));
    let (owner, operator) =
        (stage.caller(Role::Owner).await, stage.caller(Role::PlatformOperator).await);
    stage.open_shop(&operator).await;
    owner.top_up("20.00").await;
    let wish = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": ssh_key() });
    let path = owner.post("/v1/allocations", &wish).await.header("location").to_owned();
    let rental = owner.until(&path, |rental| rental["status"] == "active").await;
    let tax =
        json!({ "jurisdiction": HOME, "name": "VAT", "percent": "19", "treatment": "exclusive" });
    assert_eq!((&rental["per_hour"], &rental["tax"]), (&json!("4.284"), &tax), "3.60 and 19 %");
    owner.until("/v1/statement", |page| page["items"][0]["kind"] == "usage").await;

    // Neither another tax nor another price is its business.
    shell.json(&format!("finance taxes set {HOME} --rate 10 --inclusive")).await;
    let price = json!({ "amount": "7.20", "currency": "USD" });
    assert_eq!(operator.post_upon("*", "/v1/skus/small/prices", &price).await.status, 200);
    let kept = owner.get(&path).await;
    assert_eq!((&kept.body["per_hour"], &kept.body["tax"]), (&json!("4.284"), &tax));

    let stale = owner.post(&format!("{path}/price"), &json!({ "price_version": 1 })).await;
    assert_eq!((stale.status, stale.code()), (409, "price_changed"), "{}", stale.body);
    let stranger = stage.caller(Role::Owner).await;
    let foreign = stranger.post(&format!("{path}/price"), &json!({ "price_version": 2 })).await;
    assert_eq!(foreign.code(), "unknown_allocation", "{}", foreign.body);
    let moved = owner.post(&format!("{path}/price"), &json!({ "price_version": 2 })).await;
    assert_eq!(moved.status, 200, "{}", moved.body);
    let rental = owner.until(&path, |rental| rental["price_version"] == 2).await;
    assert_eq!(
        (&rental["per_hour"], &rental["tax"]["percent"], &rental["tax"]["treatment"]),
        (&json!("7.20"), &json!("10"), &json!("inclusive"))
    );
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    owner.post(&format!("{path}/release"), &json!({})).await;
    let rental = owner.until(&path, |rental| rental["status"] == "released").await;
    settled(&stage, &owner, &rental).await;
    balanced(&shell, &charges(&owner).await).await;
    used(&owner, &rental).await;
    stage.strike().await;
}

/// Each charge can be proven, with the tax in it, and they sum to what the rental says.
async fn settled(stage: &Stage, owner: &Caller, rental: &Value) {
    let lines = charges(owner).await;
    let keys = PublicKeys::read(&KeyDirectory::at(stage.path("keys")).public_path()).unwrap();
    let (mut charged, mut taxed, mut rates) = (0, 0, vec![]);
    for line in &lines {
        let answer = proof(owner, line).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let proven = ChargeProof::from_json(&answer.body.to_string()).unwrap();
        assert_eq!(proven.check(&keys), Ok(()), "{line}");
        let tax = proven.charge.tax.clone().unwrap();
        charged += proven.charge.paid_nanos;
        taxed += tax.tax_nanos;
        assert_eq!(tax.tax_nanos, nanos(&line["tax"]));
        rates.push((proven.charge.price_version, tax.ppm));
        for change in [
            |proof: &mut ChargeProof| proof.charge.tax = None,
            |proof: &mut ChargeProof| proof.charge.tax.as_mut().unwrap().tax_nanos += 1,
            |proof: &mut ChargeProof| proof.charge.tax.as_mut().unwrap().ppm -= 1,
        ] {
            let mut forged = proven.clone();
            change(&mut forged);
            assert!(forged.check(&keys).is_err(), "{:?}", forged.charge.tax);
        }
        for left_out in 0..proven.events.len() {
            let mut less = proven.clone();
            let event = less.events.remove(left_out).event.event_type;
            // The tax of a time that is over says nothing of this one.
            let over = event == "allocation.taxed" && proven.charge.price_version == 2;
            assert_eq!(less.check(&keys).is_ok(), over, "{left_out}: {event}");
        }
    }
    assert_eq!((charged, taxed), (nanos(&rental["charged"]), nanos(&rental["charged_tax"])));
    rates.dedup();
    assert_eq!(rates, [(2, 100_000), (1, 190_000)], "the last first: {lines:?}");
}

/// The books owe the state what the customer was told.
async fn balanced(shell: &Shell, lines: &[Value]) {
    let balance = shell.json("finance trial-balance").await;
    assert_eq!(balance["balanced"], true);
    let accounts = balance["accounts"].as_array().unwrap();
    let of = |code: &str| accounts.iter().find(|account| account["account"] == code).unwrap();
    let tax: i64 = lines.iter().map(|line| nanos(&line["tax"])).sum();
    let gross: i64 = lines.iter().map(|line| -nanos(&line["amount"])).sum();
    assert_eq!(nanos(&of(&format!("tax:{HOME}:USD"))["credit"]), tax);
    assert_eq!(nanos(&of("usage:compute:USD")["credit"]), gross - tax);
}

/// The same in numbers over time.
async fn used(owner: &Caller, rental: &Value) {
    let charged = nanos(&rental["charged"]);
    for (range, buckets) in [("24h", 25), ("7d", 8), ("90d", 91)] {
        let usage = owner.get(&format!("/v1/usage?range={range}")).await;
        assert_eq!(usage.status, 200, "{}", usage.body);
        let usd = &usage.body["currencies"][0];
        assert_eq!((nanos(&usd["cost"]), &usd["tax"]), (charged, &rental["charged_tax"]));
        assert_eq!((&usd["previous"], &usd["per_hour"]), (&json!("0.00"), &json!("0.00")));
        let rows = usd["buckets"].as_array().unwrap();
        assert_eq!(rows.len(), buckets, "{range}");
        assert_eq!(rows.iter().map(|row| nanos(&row["cost"])).sum::<i64>(), charged);
        let resource = &usd["resources"][0];
        assert_eq!(resource["allocation_id"], rental["allocation_id"]);
        assert_eq!(resource["seconds"], rental["active_seconds"]);
        assert_eq!(nanos(&resource["cost"]), charged);
    }
    let months = owner.get("/v1/usage?range=90d&by=month").await;
    let months = months.body["currencies"][0]["buckets"].as_array().unwrap().len();
    assert!((4..=5).contains(&months), "{months}");
    let none = owner.get("/v1/usage?currency=EUR").await;
    assert_eq!(none.body["currencies"], json!([]), "nothing is converted");
    for (query, code) in [
        ("range=1y", "query_invalid"),
        ("by=week", "query_invalid"),
        ("currency=XXX", "query_invalid"),
        ("organisation_id=org_00000000000000000000000001", "not_found"),
    ] {
        assert_eq!(owner.get(&format!("/v1/usage?{query}")).await.code(), code, "{query}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_tax_that_cannot_be_meant_is_refused(_: PgPoolOptions, options: PgConnectOptions) {
    let shell = Shell::new(&options);
    for (line, code, word) in [
        ("finance taxes set de --rate 19 --inclusive", 2, "ISO 3166"),
        ("finance taxes set DE --rate 119 --inclusive", 2, "percentage"),
        ("finance taxes set DE --rate 19%  --inclusive", 2, "percentage"),
        ("finance taxes set DE --rate 19", 2, "--inclusive"),
        ("finance taxes set DE --rate 0 --inclusive", 3, "more than 0"),
        ("finance taxes list --set finance.home_jurisdiction=Germany", 2, "home_jurisdiction"),
    ] {
        let said = shell.run(line).await;
        assert_eq!(said.code(), code, "{line}: {}", said.talk());
        assert!(said.talk().contains(word), "{line}: {}", said.talk());
    }
    assert_eq!(shell.json("finance taxes list").await, json!([]), "nothing was set");
    let line = "finance taxes set AT --name USt --rate 20 --inclusive --reverse-charge";
    let set = shell.json(line).await;
    assert_eq!((&set[0]["version"], &set[0]["reverse_charge"]), (&json!(1), &json!(true)));
    let again = shell.json("finance taxes set AT --name USt --rate 0 --inclusive").await;
    assert_eq!((again.as_array().unwrap().len(), &again[0]["percent"]), (2, &json!("0")));
}
