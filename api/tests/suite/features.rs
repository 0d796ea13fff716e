//! Feature flags: switched by operators, seen by customers, and acted on by every server.
use std::time::Instant;

use cairn_identity::Role;
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;
use crate::support::{Answer, Caller, PATIENCE, Stage};

const FLAGS: &str = "/v1/feature-flags";

/// Asks for what does not exist: past the brake it is refused for that.
async fn rents(caller: &Caller) -> Answer {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB6NDJ3IX4iL9qqcEXRqPrgAwn0kQ0IJc6cj4vG6OQZ1";
    let wish = json!({ "sku_id": "none", "currency": "USD", "ssh_public_key": key });
    caller.post("/v1/allocations", &wish).await
}

/// Asks until the answer has this code: servers act on a change a moment later.
async fn until(caller: &Caller, code: &str) -> Answer {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = rents(caller).await;
        if found.code() == code {
            return found;
        }
        assert!(Instant::now() < deadline, "never {code}: {}", found.body);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn define(operator: &Caller, flag: &str) {
    let body = json!({ "flag": flag, "description": "No new rentals" });
    let made = operator.post(FLAGS, &body).await;
    assert_eq!(made.status, 201, "{}", made.body);
}

async fn on(caller: &Caller, position: &str) -> Value {
    let found = caller.get(&format!("/v1/features?min_position={position}")).await;
    assert_eq!(found.status, 200, "{}", found.body);
    found.body["features"].clone()
}

#[sqlx::test(migrations = "../migrations")]
async fn an_operator_pauses_rentals_for_one_organisation_and_lets_them_go_on(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let operator = stage.caller(Role::PlatformOperator).await;
    let (one, two) = (stage.caller(Role::Owner).await, stage.caller(Role::Owner).await);
    assert_eq!(rents(&one).await.code(), "unknown_sku", "a flag that nobody defined is off");
    define(&operator, "pause_rentals").await;
    let organisation_id = one.organisation_id.to_string();
    let body = json!({ "organisation_id": organisation_id, "on": true, "reason": "full" });
    let paused = operator.post(&format!("{FLAGS}/pause_rentals/override"), &body).await;
    assert_eq!(paused.status, 200, "{}", paused.body);
    let refused = until(&one, "operation_paused").await;
    assert_eq!((refused.status, &refused.body["retryable"]), (403, &json!(true)));
    assert_eq!(rents(&two).await.code(), "unknown_sku", "the other organisation is not meant");
    let position = paused.header("cairn-position");
    assert_eq!(on(&one, position).await, json!(["pause_rentals"]));
    assert_eq!(on(&two, position).await, json!([]));
    let body = json!({ "organisation_id": organisation_id, "reason": "room again" });
    let cleared = operator.post(&format!("{FLAGS}/pause_rentals/clear-override"), &body).await;
    assert_eq!(cleared.status, 200, "{}", cleared.body);
    until(&one, "unknown_sku").await;
    let everybody = json!({ "percentage": 100, "reason": "full" });
    operator.post(&format!("{FLAGS}/pause_rentals/roll-out"), &everybody).await;
    until(&two, "operation_paused").await;
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_flag_changes_as_it_was_seen_or_not_at_all(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let operator = stage.caller(Role::PlatformOperator).await;
    define(&operator, "trial").await;
    let again = json!({ "flag": "trial", "description": "Another" });
    assert_eq!(operator.post(FLAGS, &again).await.code(), "feature_flag_exists");
    let path = format!("{FLAGS}/trial");
    let seen = operator.until(&path, |flag| flag["flag"] == "trial").await;
    assert_eq!((&seen["percentage"], &seen["pauses"]), (&json!(0), &json!([])));
    let tag = operator.get(&path).await.header("etag").to_owned();
    let quarter = json!({ "percentage": 25, "reason": "a trial" });
    let set = operator.post_upon(&tag, &format!("{path}/roll-out"), &quarter).await;
    assert_eq!(set.status, 200, "{}", set.body);
    let half = json!({ "percentage": 50, "reason": "a trial" });
    let late = operator.post_upon(&tag, &format!("{path}/roll-out"), &half).await;
    assert_eq!(late.code(), "precondition_failed");
    let reason = json!({ "reason": "over" });
    let archive = format!("{path}/archive");
    assert_eq!(operator.post(&archive, &reason).await.code(), "precondition_required");
    let wrong = json!({ "percentage": 101, "reason": "too much" });
    let wrong = operator.post(&format!("{path}/roll-out"), &wrong).await;
    assert_eq!(wrong.code(), "feature_flag_percentage_invalid");
    let archived = operator.post_upon("*", &archive, &reason).await;
    assert_eq!(archived.status, 200, "{}", archived.body);
    let at = archived.header("cairn-position");
    let found = operator.get(&format!("{path}?min_position={at}")).await;
    assert!(found.body["archived_at"].is_string(), "{}", found.body);
    let half = operator.post(&format!("{path}/roll-out"), &half).await;
    assert_eq!(half.code(), "feature_flag_archived");
    let nobody = operator.post(&format!("{FLAGS}/trail/roll-out"), &quarter).await;
    assert_eq!((nobody.status, nobody.code()), (404, "unknown_feature_flag"));
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn the_command_line_switches_flags_and_says_what_was_meant(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let shell = Shell::new(&options);
    let organisation = "org_00000000000000000000000001";
    shell.json("flags define pause_rentals --description Paused").await;
    shell.json("flags set pause_rentals 25 --reason full").await;
    shell.json(&format!("flags override pause_rentals {organisation} on --reason asked")).await;
    let asked = format!("flags show pause_rentals --organisation {organisation}");
    let shown = shell.json(&asked).await;
    assert_eq!(shown["percentage"], 25);
    assert_eq!(shown["overrides"][0]["organisation_id"], organisation);
    assert_eq!(
        (&shown["on_for_organisation"], &shown["pauses"]),
        (&json!(true), &json!(["request_allocation"]))
    );
    shell.json(&format!("flags clear pause_rentals {organisation} --reason over")).await;
    assert_eq!(shell.json(&asked).await["overrides"], json!([]));
    for line in ["flags show pause_rental", "flags set pause_rental on --reason full"] {
        let said = shell.run(line).await;
        assert_eq!(said.code(), 4, "{line}: {}", said.talk());
        assert!(said.talk().contains("did you mean pause_rentals?"), "{line}: {}", said.talk());
        assert_eq!(said.data(), "", "{line}");
    }
    assert_eq!(shell.run("flags set pause_rentals 101 --reason full").await.code(), 2);
    assert_eq!(shell.run("flags set pause_rentals on").await.code(), 2, "without a reason");
    shell.json("flags archive pause_rentals --reason over").await;
    let refused = shell.run("flags set pause_rentals on --reason full").await;
    assert_eq!(refused.code(), 3, "{}", refused.talk());
    assert_eq!(shell.json("flags list").await, json!([]));
    assert_eq!(shell.json("flags list --archived").await[0]["flag"], "pause_rentals");
    let trail = shell.json("audit list --aggregate-id pause_rentals").await;
    let trail = trail.as_array().unwrap();
    assert_eq!(trail.len(), 5);
    assert!(trail.iter().all(|entry| entry["actor"] == "operator:tester"), "{trail:?}");
    let reason =
        "SELECT payload ->> 'reason' FROM events WHERE event_type = 'feature_flag.overridden'";
    let pool = PgPool::connect_with(options).await.unwrap();
    let reason: String = sqlx::query_scalar(reason).fetch_one(&pool).await.unwrap();
    assert_eq!(reason, "asked");
}
