//! Promotional credit: granted on the command line, once, and shown apart to whom it was given.
use cairn_commands::ledger::{GrantCredit, grant_credit};
use cairn_core::{Currency, Money, Timestamp};
use cairn_identity::Role;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;
use crate::support::Stage;

const NOBODY: &str = "org_00000000000000000000000001";

#[sqlx::test(migrations = "../migrations")]
async fn whoever_has_credit_sees_it_apart_and_gets_none_of_it_back(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let owner = stage.caller(Role::Owner).await;
    let credit = GrantCredit {
        organisation_id: owner.organisation_id,
        amount: Money::new(5_000_000_000, Currency::USD),
        expires_at: Timestamp::from_secs(4_000_000_000),
        reason: "welcome".to_owned(),
    };
    let granted = grant_credit(&stage.commands, &stage.context(), credit).await.unwrap();
    owner.top_up("20.00").await;
    let wallet = owner.until("/v1/balance", |page| page["items"][0]["paid"] == "20.00").await;
    let wallet = &wallet["items"][0];
    for (field, amount) in
        [("posted", "25.00"), ("promotional", "5.00"), ("held", "0.00"), ("available", "25.00")]
    {
        assert_eq!(wallet[field], amount, "{field} of {wallet}");
    }
    let lines = owner.until("/v1/statement", |page| page["items"][1] != json!(null)).await;
    let line = &lines["items"][1];
    assert_eq!((&line["kind"], &line["promotional"]), (&json!("credit_granted"), &json!("5.00")));
    assert_eq!(line["reference"], granted.result["credit_id"]);
    let all = json!({ "top_up_id": lines["items"][0]["reference"], "amount": "25.00", "currency": "USD" });
    let refund = owner.post("/v1/refunds", &all).await;
    assert_eq!(refund.code(), "exceeds_refundable", "{}", refund.body);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_grant_counts_once_under_its_key(_: PgPoolOptions, options: PgConnectOptions) {
    let shell = Shell::new(&options);
    let made = shell.json("keys create --role owner --name shop").await;
    let id = made["organisation_id"].as_str().unwrap();
    let line = format!(
        "finance credit grant {id} --amount 5.00 --currency USD --expires 2099-12-31 --reason welcome --idempotency-key g1"
    );
    let granted = shell.json(&line).await;
    assert_eq!(granted["expires_at"], "2100-01-01T00:00:00.000000Z", "the whole day");
    assert_eq!(shell.json(&line).await, granted, "a repeat is the same grant");
    let reused = shell.run(&line.replace("5.00", "6.00")).await;
    assert_eq!(reused.code(), 3);
    assert!(reused.talk().contains("another wish"), "{}", reused.talk());
    let listed = shell.json(&format!("finance credit list {id}")).await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    for (field, said) in
        [("remaining", "5.00"), ("used", "0.00"), ("status", "open"), ("reason", "welcome")]
    {
        assert_eq!(listed[0][field], said, "{field} of {listed}");
    }
    let balance = shell.json(&format!("balance --organisation {id}")).await;
    assert_eq!((&balance[0]["promotional"], &balance[0]["paid"]), (&json!("5.00"), &json!("0.00")));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_grant_that_cannot_be_meant_is_refused(_: PgPoolOptions, options: PgConnectOptions) {
    let shell = Shell::new(&options);
    let made = shell.json("keys create --role owner --name shop").await;
    let id = made["organisation_id"].as_str().unwrap();
    let grant = |organisation: &str, more: &str| {
        format!("finance credit grant {organisation} --currency USD --reason welcome {more}")
    };
    for (line, code, word) in [
        (grant(NOBODY, "--amount 5 --expires 2099-12-31"), 4, "no organisation"),
        (grant(id, "--amount 0 --expires 2099-12-31"), 3, "more than zero"),
        (grant(id, "--amount 5 --expires 2020-12-31"), 3, "expires in the future"),
        (grant(id, "--amount 5 --expires soon"), 2, "neither a day"),
        (grant(id, "--amount five --expires 2099-12-31"), 2, "amount"),
        (grant("shop", "--amount 5 --expires 2099-12-31"), 2, "shop"),
        (format!("finance credit list {NOBODY}"), 4, "no organisation"),
    ] {
        let said = shell.run(&line).await;
        assert_eq!(said.code(), code, "{line}: {}", said.talk());
        assert!(said.talk().contains(word), "{line}: {}", said.talk());
    }
    let listed = shell.json(&format!("finance credit list {id}")).await;
    assert_eq!(listed, json!([]), "nothing was granted");
}
