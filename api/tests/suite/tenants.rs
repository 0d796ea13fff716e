//! The tenant matrix: every operation, asked with every kind of credential, for ids that are one's own, somebody else's, missing and malformed.
use std::collections::BTreeMap;

use cairn_api::auth::{Scope, table};
use cairn_commands::identity::{CreateKey, RevokeKey, create_key, revoke_key};
use cairn_core::{
    AllocationId, ApiKeyId, GrantId, InvitationId, OrganisationId, PaymentId, PaymentMethodId,
    ProjectId, RefundId, ServiceAccountId, UserId,
};
use cairn_identity::Role;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::openapi::{Operation, operations};
use crate::papers::invoiced;
use crate::payment_methods::kept_method;
use crate::person::{Mailbox, Person};
use crate::resizing::sell;
use crate::support::{Answer, Caller, PATIENCE, SSH_KEY, Stage, answer};

/// Ids by the name of their parameter.
type Ids = BTreeMap<&'static str, String>;

/// An organisation with one of everything.
struct Tenant {
    owner: Person,
    id: OrganisationId,
    keys: BTreeMap<&'static str, Caller>,
    ids: Ids,
}

/// The roles that an organisation gives.
fn own_roles() -> impl Iterator<Item = Role> {
    Role::ALL.into_iter().filter(|role| !role.is_platform())
}

async fn tenant(stage: &Stage, name: &str) -> Tenant {
    let mut owner = Person::signed_in(stage, &format!("{name}@example.org")).await;
    let id = owner.found(name).await;
    let mut keys = BTreeMap::new();
    for role in own_roles() {
        keys.insert(role.name(), stage.caller_of(role, id).await);
    }
    let key = &keys["owner"];
    let top_up = key.top_up("20.00").await;
    let rent = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": SSH_KEY });
    let allocation = key.post("/v1/allocations", &rent).await.text("/allocation_id");
    key.until(&format!("/v1/allocations/{allocation}"), |a| a["status"] == "active").await;
    let charge = charged(key, &rent).await;
    let refund = json!({ "top_up_id": top_up, "amount": "1.00", "currency": "USD" });
    let refund = key.post("/v1/refunds", &refund).await.text("/refund_id");
    key.until(&format!("/v1/refunds/{refund}"), |r| r["status"] == "succeeded").await;

    let guest = format!("guest-of-{name}@example.org");
    let member = Person::signed_in(stage, &guest).await;
    let mailbox = Mailbox::of(stage, &guest);
    let known = mailbox.codes();
    let invite = |email: &str| json!({ "email": email, "role": "viewer" });
    owner.post("/v1/invitations", &invite(&guest)).await;
    let code = json!({ "code": mailbox.code_beside(&known).await });
    assert_eq!(member.post("/v1/invitations/accept", &code).await.status, 200);
    let invited = owner.post("/v1/invitations", &invite("later@example.org")).await;
    let grant = owner.post("/v1/support-grants", &json!({ "reason": "r", "hours": 1 })).await;
    let spare = owner.post("/v1/keys", &json!({ "name": "spare", "role": "viewer" })).await;
    let program = json!({ "name": "deployments", "role": "developer" });
    let program = owner.post("/v1/service-accounts", &program).await;
    let project = owner.post("/v1/projects", &json!({ "name": "search" })).await;
    let method = kept_method(key).await;
    let ids = [
        ("top_up_id", top_up),
        ("payment_method_id", method),
        ("refund_id", refund),
        ("allocation_id", allocation),
        ("charge_id", charge),
        ("user_id", member.get("/v1/session").await.text("/user_id")),
        ("invitation_id", invited.text("/invitation_id")),
        ("grant_id", grant.text("/grant_id")),
        ("key_id", spare.text("/key_id")),
        ("service_account_id", program.text("/service_account_id")),
        ("project_id", project.text("/project_id")),
    ];
    Tenant { owner, id, keys, ids: ids.into_iter().collect() }
}

/// What a second rental cost that has come to its end, once it can be proven.
async fn charged(key: &Caller, rent: &Value) -> String {
    let path = key.post("/v1/allocations", rent).await.header("location").to_owned();
    key.until(&path, |rental| rental["status"] == "active").await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    key.post(&format!("{path}/release"), &json!({})).await;
    key.until(&path, |rental| rental["status"] == "released").await;
    let lines = key.until("/v1/statement", |page| page["items"][0]["kind"] == "usage").await;
    let charge = lines["items"][0]["charge_id"].as_str().unwrap().to_owned();
    key.until(&format!("/v1/charges/{charge}/proof"), |proof| !proof["charge"].is_null()).await;
    charge
}

/// Ids that nobody has.
fn missing() -> Ids {
    let ids = [
        ("top_up_id", PaymentId::from_bits(7).to_string()),
        ("payment_method_id", PaymentMethodId::from_bits(7).to_string()),
        ("refund_id", RefundId::from_bits(7).to_string()),
        ("allocation_id", AllocationId::from_bits(7).to_string()),
        ("charge_id", "charge_9007199254740993".to_owned()),
        ("number", "CN-2020-000001".to_owned()),
        ("user_id", UserId::from_bits(7).to_string()),
        ("invitation_id", InvitationId::from_bits(7).to_string()),
        ("grant_id", GrantId::from_bits(7).to_string()),
        ("key_id", ApiKeyId::from_bits(7).to_string()),
        ("service_account_id", ServiceAccountId::from_bits(7).to_string()),
        ("project_id", ProjectId::from_bits(7).to_string()),
    ];
    ids.into_iter().collect()
}

/// The parameter of a path that names something of an organisation's.
fn parameter(operation: &Operation) -> Option<&str> {
    let (_, rest) = operation.path.split_once('{')?;
    rest.split_once('}').map(|(name, _)| name)
}

fn path_of(operation: &Operation, ids: &Ids) -> String {
    match parameter(operation) {
        Some(name) => {
            let id = ids.get(name).map_or("none", String::as_str);
            operation.path.replace(&format!("{{{name}}}"), id)
        }
        None => operation.path.clone(),
    }
}

/// A body that is right, where an id in the path is looked at only after it.
fn body_of(operation: &Operation) -> Value {
    match operation.id.as_str() {
        "resize_allocation" => json!({ "sku_id": "large" }),
        "reprice_allocation" => json!({ "price_version": 1 }),
        "rename_project" => json!({ "name": "search" }),
        "set_project_spending_limits" => json!({ "currency": "USD" }),
        "set_project_alerts" => json!({ "currency": "USD", "alerts": [] }),
        "correct_usage" => json!({ "seconds": 1, "reason": "r" }),
        "change_member_role" => json!({ "role": "developer" }),
        "revoke_key" | "suspend_organisation" | "resume_organisation" => json!({ "reason": "r" }),
        _ => json!({}),
    }
}

fn with_body(request: RequestBuilder, operation: &Operation) -> RequestBuilder {
    if ![Method::POST, Method::PUT].contains(&operation.method) {
        return request;
    }
    let key = cairn_api::system::new_api_key(cairn_api::auth::Mode::Test).unwrap().sha256();
    let request = request.header("idempotency-key", key).header("if-match", "*");
    request.json(&body_of(operation))
}

async fn ask(caller: &Caller, operation: &Operation, ids: &Ids) -> Answer {
    let request = caller.request(operation.method.clone(), &path_of(operation, ids));
    answer(with_body(request, operation)).await
}

/// Status and body, byte for byte.
async fn whole(caller: &Caller, operation: &Operation, ids: &Ids) -> (u16, String) {
    let request = caller.request(operation.method.clone(), &path_of(operation, ids));
    let request = with_body(request, operation).header("x-request-id", "the-same-request");
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// Keys that open nothing, each with what is said of it.
async fn dead_keys(stage: &Stage, living: &Caller) -> Vec<(&'static str, Caller)> {
    let with = |key: &str| Caller { key: Some(key.to_owned()), ..living.clone() };
    let key = living.key.clone().unwrap();
    let last = if key.ends_with('0') { "1" } else { "0" };
    let wrong_checksum = format!("{}{last}", &key[..key.len() - 1]);
    let make = async |expires_at| {
        let secret = cairn_api::system::new_api_key(cairn_api::auth::Mode::Test).unwrap();
        let input = CreateKey {
            organisation_id: living.organisation_id,
            role: Role::Owner,
            scopes: vec![],
            name: "dead".to_owned(),
            secret_sha256: secret.sha256(),
            holder: None,
            expires_at,
        };
        let made = create_key(&stage.commands, &stage.context(), input).await.unwrap();
        (with(secret.expose()), made)
    };
    let soon = stage.commands.clock.now().plus_secs(1);
    let (expired, _) = make(Some(soon)).await;
    let (revoked, made) = make(None).await;
    let key_id = made.aggregate_id.parse().unwrap();
    let input = RevokeKey { key_id, reason: "r".to_owned() };
    let done = revoke_key(&stage.commands, &stage.context(), input).await.unwrap();
    stage.projector.wait_for(done.position, PATIENCE).await.unwrap();
    while stage.commands.clock.now() <= soon {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let unknown = cairn_api::system::new_api_key(cairn_api::auth::Mode::Test).unwrap();
    vec![
        ("unauthenticated", stage.nobody()),
        ("api_key_malformed", with("cairn_test_short")),
        ("api_key_malformed", with(&wrong_checksum)),
        ("unauthenticated", with(unknown.expose())),
        ("api_key_expired", expired),
        ("unauthenticated", revoked),
    ]
}

#[sqlx::test(migrations = "../migrations")]
async fn every_operation_holds_against_every_credential_and_every_id(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let operator = stage.caller(Role::PlatformOperator).await;
    stage.open_shop(&operator).await;
    sell(&operator, "large", 64, "0.10").await;
    let (mut ours, mut theirs) = (tenant(&stage, "ours").await, tenant(&stage, "theirs").await);
    let numbers = invoiced(&stage, &[&ours.keys["owner"], &theirs.keys["owner"]]).await;
    for (tenant, number) in [&mut ours, &mut theirs].into_iter().zip(numbers) {
        tenant.ids.insert("number", number);
    }
    let guarded: Vec<_> =
        operations().into_iter().filter(|operation| !table::is_public(&operation.id)).collect();
    assert!(guarded.len() > 55, "{}", guarded.len());
    let mut asked = 0;

    for (code, dead) in dead_keys(&stage, &ours.keys["owner"]).await {
        for operation in &guarded {
            let found = ask(&dead, operation, &ours.ids).await;
            assert_eq!((found.status, found.code()), (401, code), "{}", operation.id);
            asked += 1;
        }
    }
    asked += refused_by_role(&ours, &theirs, &guarded).await;
    asked += refused_otherwise(&stage, (&ours, &theirs), &guarded).await;
    asked += the_owner_does_it(&ours, &guarded).await;
    assert!(asked > 900, "only {asked} requests");
    stage.strike().await;
}

/// Each role of an organisation: what it may not do is refused, and what is another's is as if it were not there.
async fn refused_by_role(ours: &Tenant, theirs: &Tenant, guarded: &[Operation]) -> usize {
    let mut asked = 0;
    let malformed: Ids = missing().into_keys().map(|name| (name, "%20no-id".to_owned())).collect();
    for role in own_roles() {
        let caller = &ours.keys[role.name()];
        for operation in guarded {
            let name = format!("{} {}", role.name(), operation.id);
            let rule = table::rule(&operation.id);
            if rule.is_none_or(|rule| rule.scope(role) == Scope::None) {
                for ids in [&ours.ids, &theirs.ids, &missing()] {
                    let found = ask(caller, operation, ids).await;
                    assert_eq!((found.status, found.code()), (403, "forbidden"), "{name}");
                    asked += 1;
                }
                continue;
            }
            let has_id = parameter(operation).is_some_and(|name| ours.ids.contains_key(name));
            if has_id {
                let foreign = whole(caller, operation, &theirs.ids).await;
                assert_eq!(foreign, whole(caller, operation, &missing()).await, "{name}");
                assert_eq!(foreign.0, 404, "{name}: {}", foreign.1);
                let odd = ask(caller, operation, &malformed).await;
                assert!((400..500).contains(&odd.status), "{name}: {}", odd.body);
                assert_ne!(odd.status, 403, "{name}");
                asked += 3;
            } else if operation.method == Method::GET {
                let found = ask(caller, operation, &ours.ids).await;
                assert_ne!(found.status, 403, "{name}: {}", found.body);
                assert!(found.status < 500, "{name}: {}", found.body);
                asked += 1;
            }
        }
    }
    asked
}

/// A key of less, a suspended organisation, support without a grant, and a person who belongs elsewhere.
async fn refused_otherwise(
    stage: &Stage,
    (ours, theirs): (&Tenant, &Tenant),
    guarded: &[Operation],
) -> usize {
    let mut asked = 0;
    let scoped = json!({ "name": "s", "role": "developer", "scopes": ["ledger:read"] });
    let scoped = ours.owner.post("/v1/keys", &scoped).await.text("/key");
    let scoped = Caller { key: Some(scoped), ..ours.keys["owner"].clone() };
    let support = stage.caller(Role::PlatformSupport).await;
    let closed = tenant_without_grant(stage).await;
    let suspended = suspended(stage).await;
    let outsider = Person { organisation: Some(ours.id), ..theirs.owner.clone() };
    for operation in guarded {
        let is_personal = table::is_personal(&operation.id);
        let reads_ledger = operation.body["tags"][0] == "ledger" && operation.method == Method::GET;
        let path = path_of(operation, &ours.ids);
        let found = ask(&scoped, operation, &ours.ids).await;
        let is_open = reads_ledger || table::UNSCOPED.contains(&operation.id.as_str());
        let rule = table::rule(&operation.id);
        let is_its_roles = rule.is_some_and(|rule| rule.scope(Role::Developer) != Scope::None);
        let wanted = match (is_personal, is_open) {
            (true, _) => "forbidden",
            (false, true) if !is_its_roles => "forbidden",
            (false, true) => "",
            (false, false) => "scope_missing",
        };
        assert_eq!(found.code(), wanted, "scoped {}: {}", operation.id, found.body);

        let request = support.request(operation.method.clone(), &path);
        let request = request.header("cairn-act-for", closed.to_string());
        let found = answer(with_body(request, operation)).await;
        let wanted = if is_personal { "forbidden" } else { "grant_missing" };
        assert_eq!((found.status, found.code()), (403, wanted), "support {}", operation.id);

        let is_own =
            table::rule(&operation.id).is_some_and(|r| r.scope(Role::Owner) != Scope::None);
        if is_own {
            let found = ask(&suspended, operation, &missing()).await;
            let goes_on = operation.method == Method::GET
                || table::WHILE_SUSPENDED.contains(&operation.id.as_str());
            let is_refused = found.code() == "organisation_suspended";
            assert_eq!(is_refused, !goes_on, "suspended {}: {}", operation.id, found.body);
        }
        if !is_personal {
            let request = outsider.request(operation.method.clone(), &path);
            let found = answer(with_body(request, operation)).await;
            assert_eq!(
                (found.status, found.code()),
                (403, "forbidden"),
                "outsider {}",
                operation.id
            );
        }
        asked += 4;
    }
    asked
}

async fn tenant_without_grant(stage: &Stage) -> OrganisationId {
    let mut person = Person::signed_in(stage, "closed@example.org").await;
    person.found("closed").await
}

/// The owner's key of an organisation that is suspended.
async fn suspended(stage: &Stage) -> Caller {
    let mut person = Person::signed_in(stage, "late@example.org").await;
    let id = person.found("late").await;
    let operator = stage.caller(Role::PlatformOperator).await;
    let path = format!("/v1/organisations/{id}/suspend");
    assert_eq!(operator.post(&path, &json!({ "reason": "unpaid" })).await.status, 200);
    stage.caller_of(Role::Owner, id).await
}

/// The positive control: the same requests, by whoever may and on what is theirs.
async fn the_owner_does_it(ours: &Tenant, guarded: &[Operation]) -> usize {
    let mut asked = 0;
    let mut ordered: Vec<_> = guarded.iter().collect();
    // What ends a thing comes after everything else that is asked of it.
    ordered.sort_by_key(|operation| {
        let ends = ["revoke_", "remove_", "end_", "release_", "archive_"];
        let ends = ends.iter().any(|end| operation.id.starts_with(end));
        (operation.method != Method::GET, ends)
    });
    for operation in ordered {
        let has_id = parameter(operation).is_some_and(|name| ours.ids.contains_key(name));
        let rule = table::rule(&operation.id);
        if !has_id || rule.is_none_or(|rule| rule.scope(Role::Owner) != Scope::Own) {
            continue;
        }
        let found = ask(&ours.keys["owner"], operation, &ours.ids).await;
        assert!((200..300).contains(&found.status), "{}: {}", operation.id, found.body);
        asked += 1;
    }
    assert!(asked >= 13, "{asked}");
    asked
}
