//! Additional disk: sold beside a SKU, rented along or for what runs, previewed, charged, and provable.
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
use crate::support::{Caller, MASTER_KEY, Stage, answer};

/// Bytes of the shop's disk, and of a GiB.
const OWN: u64 = 64 << 20;
const GIB: u64 = 1 << 30;

fn wish(gib: u32) -> Value {
    json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": ssh_key(), "additional_disk_gib": gib })
}

async fn sold(owner: &Caller, operator: &Caller) {
    let path = "/v1/skus/small/disk-prices";
    assert_eq!(owner.post("/v1/allocations", &wish(1)).await.code(), "disk_not_sold");
    let price =
        |amount: &str, gib: u32| json!({ "amount": amount, "currency": "USD", "gib_max": gib });
    for (body, code) in [
        (price("1000001", 1), "disk_price_invalid"),
        (price("1", 65_537), "disk_price_invalid"),
        (json!({ "amount": "0", "currency": "USD", "gib_max": 1 }), "body_invalid"),
    ] {
        let refused = operator.post_upon("*", path, &body).await;
        assert_eq!((refused.status, refused.code()), (422, code), "{}", refused.body);
    }
    assert_eq!(owner.post_upon("*", path, &price("3.60", 4)).await.status, 403);
    let set = operator.post_upon("*", path, &price("3.60", 4)).await;
    assert_eq!(set.status, 200, "{}", set.body);
    let shown = json!([{ "currency": "USD", "per_gib_hour": "3.60", "gib_max": 4, "version": 1 }]);
    owner.until("/v1/skus/small", |sku| sku["disk_prices"] == shown).await;
    assert_eq!(owner.post("/v1/allocations", &wish(5)).await.code(), "disk_beyond_limit");
    let preview = owner.request(Method::POST, "/v1/allocations?preview=true");
    let costs = &answer(preview.json(&wish(1))).await.body["costs"];
    let disk = json!({ "gib": 1, "per_gib_hour": "3.60", "per_hour": "3.60", "price_version": 1 });
    assert_eq!((&costs["per_hour"], &costs["additional_disk"]), (&json!("7.20"), &disk));
    assert_eq!(costs["set_aside"], "7.20", "an hour of both");
}

/// What is refused is refused alike, and a preview says what all of it would cost.
async fn previewed(owner: &Caller, url: &str) {
    let preview = async |body: Value| {
        answer(owner.request(Method::POST, &format!("{url}?preview=true")).json(&body)).await
    };
    for (body, code) in [
        (json!({}), "body_invalid"),
        (json!({ "additional_disk_gib": 1 }), "resize_unchanged"),
        (json!({ "sku_id": "small", "additional_disk_gib": 0 }), "disk_shrinks"),
        (json!({ "additional_disk_gib": 5 }), "disk_beyond_limit"),
    ] {
        assert_eq!(owner.post(url, &body).await.code(), code, "{body}");
        assert_eq!(preview(body).await.code(), code);
    }
    let would = preview(json!({ "additional_disk_gib": 3 })).await;
    let costs = &would.body["costs"];
    assert_eq!(
        (&costs["per_hour_before"], &costs["per_hour"], &costs["additional_disk"]["gib"]),
        (&json!("7.20"), &json!("14.40"), &json!(3)),
        "{}",
        would.body
    );
}

/// The sum of every charge can be done again, with the disk that it had; and with other disk it is another one.
async fn proven(stage: &Stage, owner: &Caller, total: &Value) {
    let lines = owner.get("/v1/statement").await.body["items"].as_array().unwrap().clone();
    let keys = PublicKeys::read(&KeyDirectory::at(stage.path("keys")).public_path()).unwrap();
    let (mut had, mut sum) = (vec![], 0);
    for line in lines.iter().filter(|line| line["kind"] == "usage") {
        let given = proof(owner, line).await;
        let mut proven = ChargeProof::from_json(&given.body.to_string()).unwrap();
        assert_eq!(proven.check(&keys), Ok(()), "{line}");
        let disk = proven.charge.disk.as_mut().unwrap();
        had.push(disk.gib);
        sum += proven.charge.paid_nanos;
        disk.gib += 1;
        assert!(proven.check(&keys).unwrap_err().to_string().contains("the additional disk"));
    }
    had.dedup();
    assert_eq!(had, [3, 1], "the newest first");
    assert_eq!(sum, parse_nanos(total.as_str().unwrap()).unwrap());
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rental_has_disk_beside_its_sku_and_is_given_more(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set_among(options.clone(), |parts| {
        parts.runner.settings.tick_lag_seconds = 0;
        parts.runner.settings.watch_seconds = 1;
    })
    .await;
    let (owner, operator) =
        (stage.caller(Role::Owner).await, stage.caller(Role::PlatformOperator).await);
    stage.open_shop(&operator).await;
    owner.top_up("50.00").await;
    sold(&owner, &operator).await;
    let path = owner.post("/v1/allocations", &wish(1)).await.header("location").to_owned();
    let rental = owner.until(&path, |rental| rental["status"] == "active").await;
    let has = |rental: &Value| {
        let disk = rental["resources"]["disk_bytes"].as_u64().unwrap();
        let (gib, per_hour) = (&rental["additional_disk"]["gib"], &rental["per_hour"]);
        (gib.as_u64().unwrap(), disk, per_hour.as_str().unwrap().to_owned())
    };
    assert_eq!(has(&rental), (1, OWN + GIB, "7.20".to_owned()));
    owner.until("/v1/statement", |page| page["items"][0]["seconds"].as_i64() >= Some(1)).await;

    let url = format!("{path}/resize");
    previewed(&owner, &url).await;
    let done = owner.post(&url, &json!({ "additional_disk_gib": 3 })).await;
    assert_eq!((done.status, &done.body["additional_disk_gib"]), (202, &json!(3)), "{}", done.body);
    let grown = |now: &Value| now["additional_disk"]["gib"] == 3 && now["status"] == "active";
    let rental = owner.until(&path, grown).await;
    assert_eq!(has(&rental), (3, OWN + 3 * GIB, "14.40".to_owned()));
    assert!(rental.get("resize").is_none(), "{rental}");
    let used = rental["active_seconds"].as_i64().unwrap();
    owner
        .until("/v1/statement", |page| page["items"][0]["seconds"].as_i64() > Some(used + 1))
        .await;
    owner.post(&format!("{path}/release"), &json!({})).await;
    let over = owner.until(&path, |rental| rental["status"] == "released").await;
    proven(&stage, &owner, &over["charged"]).await;
    let told = owner.get(&format!("{path}/timeline")).await;
    let told = told.body["items"].as_array().unwrap();
    let detail = "small with 3 GiB more disk";
    assert!(told.iter().any(|told| told["entry"] == "resized" && told["detail"] == detail));

    let key = stage.path(MASTER_KEY);
    let shell = Shell::new(&options).with("CAIRN_PRIVACY_KEY", key.to_string_lossy());
    let id = over["allocation_id"].as_str().unwrap();
    let late = shell.run(&format!("allocations resize {id} --additional-disk-gib 4")).await;
    assert!(late.talk().contains("allocation_in_wrong_state"), "{}", late.talk());
    let price = "skus disk-price small --currency USD --per-gib-hour 3.60 --gib-max 0";
    assert_eq!(shell.json(price).await["sku_id"], "small");
    owner.until("/v1/skus/small", |sku| sku.get("disk_prices").is_none()).await;
    stage.strike().await;
}
