//! Discounts: given and withdrawn by operators, seen by whoever gets them, kept by rentals until these are moved, and charged and proven.
use cairn_api::charges::ChargeProof;
use cairn_core::money::parse_nanos;
use cairn_identity::Role;
use cairn_seal::{KeyDirectory, PublicKeys};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::charges::proof;
use crate::cli::Shell;
use crate::privacy::ssh_key;
use crate::support::{Caller, Stage, answer};

const NOBODY: &str = "org_00000000000000000000000001";

fn nanos(value: &Value) -> i64 {
    parse_nanos(value.as_str().unwrap()).unwrap()
}

/// What an hour costs, as a caller is shown it: with the discount, without it, and which it is.
fn prices(shown: &Value) -> [&Value; 3] {
    [&shown["per_hour"], &shown["list_per_hour"], &shown["discount"]["percent"]]
}

async fn refused(operator: &Caller, path: &str) {
    for (body, pointer) in [
        (json!({ "percent": "x", "reason": "r" }), "/percent"),
        (json!({ "percent": "1.234", "reason": "r" }), "/percent"),
        (json!({ "percent": "5", "reason": "r", "ends_at": "soon" }), "/ends_at"),
    ] {
        let answer = operator.post(path, &body).await;
        let first = &answer.body["errors"][0];
        assert_eq!(
            (&first["pointer"], &first["code"]),
            (&json!(pointer), &json!("discount_invalid"))
        );
    }
    for (body, code) in [
        (json!({ "percent": "0", "reason": "r" }), "discount_invalid"),
        (json!({ "percent": "90.01", "reason": "r" }), "discount_invalid"),
        (
            json!({ "percent": "5", "reason": "r", "ends_at": "2020-01-01T00:00:00Z" }),
            "discount_invalid",
        ),
        (json!({ "percent": "5", "reason": "" }), "reason_needed"),
        (json!({ "percent": "5", "reason": "r", "sku_id": "No" }), "sku_id_invalid"),
    ] {
        assert_eq!(operator.post(path, &body).await.code(), code, "{body}");
    }
    let body = json!({ "percent": "5", "reason": "r" });
    let nobody = operator.post("/v1/organisations/x/discounts", &body).await;
    assert_eq!(nobody.code(), "not_found");
    let nobody = operator.post(&format!("/v1/organisations/{NOBODY}/discounts"), &body).await;
    assert_eq!((nobody.status, nobody.code()), (404, "unknown_organisation"));
}

/// Gives the owner's organisation a quarter off; answers where it was given, and its id.
async fn given(stage: &Stage, owner: &Caller, operator: &Caller) -> (String, String) {
    let whose = owner.get("/v1/discounts").await;
    assert_eq!(whose.body["items"], json!([]), "{}", whose.body);
    let path = format!("/v1/organisations/{}/discounts", whose.text("/organisation_id"));
    refused(operator, &path).await;
    let body = json!({ "percent": "25", "sku_id": "small", "reason": "a year in advance" });
    assert_eq!(owner.post(&path, &body).await.status, 403, "nobody gives one to themselves");
    let small = json!({ "percent": "10", "reason": "because" });
    assert_eq!(operator.post(&path, &small).await.status, 201);
    let made = operator.post(&path, &body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let seen = owner.get("/v1/discounts").await;
    let found = &seen.body["items"][1];
    assert_eq!(
        (&found["percent"], &found["sku_id"], &found["reason"], &found["in_force"]),
        (&json!("25"), &json!("small"), &json!("a year in advance"), &json!(true)),
        "{found}"
    );
    let location = made.header("location").to_owned();
    assert_eq!(operator.get(&location).await.body, seen.body);
    let stranger = stage.caller(Role::Owner).await;
    assert_eq!(stranger.get(&location).await.code(), "not_found");
    let sku = stranger.get("/v1/skus/small").await;
    assert_eq!(prices(&sku.body["prices"][0]), [&json!("3.60"), &Value::Null, &Value::Null]);
    (path, made.text("/discount_id"))
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rental_keeps_its_discount_until_it_is_moved(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    // Usage is charged as soon as the node proves it, and it is asked each second.
    let stage = Stage::set_among(options, |parts| {
        parts.runner.settings.tick_lag_seconds = 0;
        parts.runner.settings.watch_seconds = 1;
    });
    let stage = stage.await;
    let (owner, operator) =
        (stage.caller(Role::Owner).await, stage.caller(Role::PlatformOperator).await);
    stage.open_shop(&operator).await;
    let (path, discount_id) = given(&stage, &owner, &operator).await;
    // The larger one, and not both.
    let (less, list, percent) = (json!("2.70"), json!("3.60"), json!("25"));
    let quarter_off = [&less, &list, &percent];
    let listed = owner.get("/v1/skus").await;
    assert_eq!(prices(&listed.body["items"][0]["prices"][0]), quarter_off, "{}", listed.body);

    owner.top_up("20.00").await;
    let wish = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": ssh_key() });
    let request = owner.request(Method::POST, "/v1/allocations?preview=true");
    let preview = answer(request.json(&wish)).await;
    assert_eq!(prices(&preview.body["costs"]), quarter_off, "{}", preview.body);
    assert_eq!(preview.body["costs"]["set_aside"], "2.70");
    let rental_path = owner.post("/v1/allocations", &wish).await.header("location").to_owned();
    let rental = owner.until(&rental_path, |rental| rental["status"] == "active").await;
    assert_eq!(prices(&rental), quarter_off, "{rental}");
    assert_eq!(rental["discount"]["discount_id"], json!(discount_id));

    owner.until("/v1/statement", |page| page["items"][0]["kind"] == "usage").await;
    let withdraw = format!("{path}/{discount_id}/withdraw");
    for _ in 0..2 {
        assert_eq!(operator.post(&withdraw, &json!({})).await.status, 200, "a repeat is no error");
    }
    let unknown = operator.post(&format!("{path}/discount_1/withdraw"), &json!({})).await;
    assert_eq!(unknown.code(), "unknown_discount");
    assert_eq!(prices(&owner.get(&rental_path).await.body), quarter_off, "what runs keeps it");
    let moved = owner.post(&format!("{rental_path}/price"), &json!({ "price_version": 1 })).await;
    assert_eq!(moved.status, 200, "{}", moved.body);
    let rental = owner.until(&rental_path, |rental| rental["per_hour"] != "2.70").await;
    assert_eq!(prices(&rental), [&json!("3.24"), &list, &json!("10")], "{rental}");
    let before = rental["active_seconds"].as_i64();
    owner.until(&rental_path, |rental| rental["active_seconds"].as_i64() > before).await;
    owner.post(&format!("{rental_path}/release"), &json!({})).await;
    let rental = owner.until(&rental_path, |rental| rental["status"] == "released").await;
    proven(&stage, &owner, nanos(&rental["charged"])).await;
    stage.strike().await;
}

/// Every charge can be done again, with its own discount, and they sum to what the rental cost.
async fn proven(stage: &Stage, owner: &Caller, charged: i64) {
    let usage = |page: &Value| -> Vec<Value> {
        let lines = page["items"].as_array().unwrap().iter();
        lines.filter(|line| line["kind"] == "usage").cloned().collect()
    };
    let paid = |page: &Value| usage(page).iter().map(|line| -nanos(&line["amount"])).sum::<i64>();
    let statement = owner.until("/v1/statement", |page| paid(page) == charged).await;
    let keys = PublicKeys::read(&KeyDirectory::at(stage.path("keys")).public_path()).unwrap();
    let mut discounts = vec![];
    for line in usage(&statement) {
        let answer = proof(owner, &line).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let proven = ChargeProof::from_json(&answer.body.to_string()).unwrap();
        assert_eq!(proven.check(&keys), Ok(()), "{line}");
        discounts.push(proven.charge.discount.unwrap().basis_points);
        let mut dearer = proven.clone();
        dearer.charge.discount = None;
        assert!(dearer.check(&keys).unwrap_err().to_string().contains("the discount"));
    }
    discounts.dedup();
    assert_eq!(discounts, [1_000, 2_500], "the last first");
}

#[sqlx::test(migrations = "../migrations")]
async fn an_operator_at_the_machine_gives_takes_back_and_sees_what_was_given(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let shell = Shell::new(&options);
    let made = shell.json("keys create --role owner --name shop").await;
    let id = made["organisation_id"].as_str().unwrap();
    let give = format!(
        "discounts give {id} --percent 12.5 --sku small --ends 2099-12-31T00:00:00Z --reason loyal --idempotency-key d1"
    );
    let given = shell.json(&give).await;
    assert_eq!(shell.json(&give).await, given, "a repeat is the same discount");
    let discount = given["discount_id"].as_str().unwrap();
    let list = format!("discounts list {id}");
    let listed = shell.json(&list).await;
    for (field, said) in [
        ("discount_id", json!(discount)),
        ("percent", json!("12.5")),
        ("sku_id", json!("small")),
        ("reason", json!("loyal")),
        ("in_force", json!(true)),
        ("ends_at", json!("2099-12-31T00:00:00.000000Z")),
    ] {
        assert_eq!(listed[0][field], said, "{field} of {listed}");
    }
    shell.json(&format!("discounts withdraw {id} {discount}")).await;
    let listed = shell.json(&list).await;
    let seen = (listed.as_array().unwrap().len(), &listed[0]["in_force"]);
    assert_eq!(seen, (1, &json!(false)), "{listed}");
    assert!(listed[0]["withdrawn_at"].is_string(), "{listed}");
    for (line, code, word) in [
        (format!("discounts give {NOBODY} --percent 5 --reason r"), 4, "no organisation"),
        (format!("discounts list {NOBODY}"), 4, "no organisation"),
        (format!("discounts withdraw {NOBODY} {discount}"), 4, "no organisation"),
        (
            format!("discounts withdraw {id} discount_00000000000000000000000001"),
            4,
            "no such discount",
        ),
        (format!("discounts give {id} --percent 1.234 --reason r"), 2, "two decimals"),
        (format!("discounts give {id} --percent 95 --reason r"), 3, "at most 90"),
        (format!("discounts give {id} --percent 5"), 2, "--reason"),
    ] {
        let said = shell.run(&line).await;
        assert_eq!(said.code(), code, "{line}: {}", said.talk());
        assert!(said.talk().contains(word), "{line}: {}", said.talk());
    }
}
