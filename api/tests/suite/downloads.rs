//! Files that a browser saves, by a one-time ticket in a form.
use cairn_commands::identity::{RevokeKey, revoke_key};
use cairn_identity::Role;
use futures::future::join_all;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::listen;
use crate::person::Person;
use crate::support::{Answer, Caller, PATIENCE, Stage, answer};

const PATH: &str = "/v1/downloads";

fn wish() -> Value {
    json!({ "purpose": "download", "of": "organisation_export" })
}

async fn ticket(request: RequestBuilder) -> Answer {
    answer(request.json(&wish())).await
}

async fn ticket_of(caller: &Caller) -> String {
    let made = ticket(caller.request(Method::POST, "/v1/tickets")).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(
        (made.text("/purpose"), made.text("/of")),
        ("download".into(), "organisation_export".into())
    );
    made.text("/ticket")
}

/// What a browser posts for `<form method="post">` with one field.
async fn saves(base: &str, ticket: &str) -> Answer {
    let form = reqwest::Client::new().post(format!("{base}{PATH}"));
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    answer(form.header("origin", "null").body(format!("ticket={ticket}"))).await
}

fn refused(found: &Answer, wanted: (u16, &str)) {
    assert_eq!((found.status, found.code()), wanted, "{}", found.body);
    assert_eq!(found.header("content-disposition"), "");
}

const INVALID: (u16, &str) = (401, "ticket_invalid");

#[sqlx::test(migrations = "../migrations")]
async fn a_form_with_a_ticket_saves_the_file_once(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    let id = ada.found("Analytical Engines").await;
    let made = ticket(ada.request(Method::POST, "/v1/tickets")).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let file = saves(&stage.base, &made.text("/ticket")).await;
    assert_eq!(file.status, 200, "{}", file.body);
    assert_eq!(file.body["organisation_id"], id.to_string());
    let read = ada.get("/v1/organisation/export").await;
    assert_eq!(file.body["events"], read.body["events"], "it is what is read");
    assert_eq!(file.body["events"][0]["payload"]["name"], "Analytical Engines");
    let named = file.header("content-disposition");
    let begins = format!("attachment; filename=\"{id}-");
    assert!(named.starts_with(&begins) && named.ends_with(".json\""), "{named}");
    assert_eq!(file.header("content-type"), "application/json");
    assert_eq!(file.header("cache-control"), "no-store");
    assert_eq!(file.header("x-content-type-options"), "nosniff");
    assert!(file.header("content-security-policy").ends_with("; sandbox"));
    refused(&saves(&stage.base, &made.text("/ticket")).await, INVALID);

    let key = stage.caller_of(Role::Finance, id).await;
    let again = ticket_of(&key).await;
    let said = stage.nobody().post(PATH, &json!({ "ticket": again })).await;
    assert_eq!((said.status, said.body["organisation_id"].clone()), (200, json!(id.to_string())));
    for method in [Method::GET, Method::HEAD, Method::PUT] {
        let address = format!("{PATH}?ticket={}", ticket_of(&key).await);
        let found = stage.nobody().request(method, &address).send().await.unwrap();
        assert!([404, 405].contains(&found.status().as_u16()), "nothing is had by an address");
    }
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_ticket_saves_once_whichever_process_is_asked(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options.clone()).await;
    let owner = stage.caller(Role::Owner).await;
    let second = stage.beside(options).await;
    let made = ticket_of(&owner).await;
    let bases = [&stage.base, &second.base, &stage.base, &second.base];
    let found = join_all(bases.map(|base| saves(base, &made))).await;
    let saved = found.iter().filter(|found| found.status == 200).count();
    let late = found.iter().filter(|found| found.code() == "ticket_invalid").count();
    assert_eq!((saved, late), (1, 3), "{found:?}");
    let elsewhere = ticket_of(&owner).await;
    assert_eq!(saves(&second.base, &elsewhere).await.status, 200, "made here, used there");
    second.strike().await;
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_ticket_opens_what_it_was_made_for_and_nothing_else(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options.clone()).await;
    let owner = stage.caller(Role::Owner).await;
    let other = listen::ticket(&owner).await;
    refused(&saves(&stage.base, &other).await, INVALID);
    // The other way round it opens no WebSocket, and is still good for its file.
    let made = ticket_of(&owner).await;
    let offered = [("sec-websocket-protocol", listen::PROTOCOL)];
    let mut socket = listen::Socket::open(&stage.base, &offered).await.unwrap();
    socket.say(&json!({ "type": "hello", "ticket": made })).await;
    assert_eq!(socket.next().await.unwrap()["code"], "ticket_invalid");
    assert_eq!(saves(&stage.base, &made).await.status, 200);

    let late = ticket_of(&owner).await;
    let over = "UPDATE edge_tickets SET expires_at = now() - interval '1 second'";
    // The application may make tickets and take them, and change none.
    let pool = PgPoolOptions::new().connect_with(options).await.unwrap();
    assert!(sqlx::query(over).execute(&pool).await.unwrap().rows_affected() >= 1);
    pool.close().await;
    refused(&saves(&stage.base, &late).await, INVALID);

    let forged = ticket_of(&owner).await;
    let last = if forged.ends_with('0') { "1" } else { "0" };
    let typo = format!("{}{last}", &forged[..forged.len() - 1]);
    let unknown = cairn_api::system::new_secret::<cairn_api::auth::secret::Ticket>().unwrap();
    for forged in [&*typo, unknown.expose(), owner.key.as_deref().unwrap(), "", "%00", "x"] {
        refused(&saves(&stage.base, forged).await, INVALID);
    }
    for (kind, body, wanted) in [
        ("application/x-www-form-urlencoded", "", (422, "body_invalid")),
        ("application/x-www-form-urlencoded", "ticket=x&key=y", (422, "body_invalid")),
        ("application/json", "{}", (422, "body_invalid")),
        ("application/json", "{", (400, "body_malformed")),
        ("text/plain", "ticket=x", (415, "content_type_unsupported")),
    ] {
        let request = stage.nobody().request(Method::POST, PATH).header("content-type", kind);
        refused(&answer(request.body(body)).await, wanted);
    }
    for (body, pointer) in [
        (json!({ "purpose": "download" }), "/of"),
        (json!({ "purpose": "notifications", "of": "organisation_export" }), "/of"),
        (json!({ "purpose": "download", "of": "events" }), "/of"),
    ] {
        let request = owner.request(Method::POST, "/v1/tickets").json(&body);
        let found = answer(request).await;
        assert_eq!((found.status, found.code()), (422, "body_invalid"), "{body}");
        let pointed = found.text("/errors/0/pointer");
        assert!(pointed.starts_with(pointer), "{body}: {pointed}");
    }
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn whoever_may_not_have_the_file_any_more_does_not_get_it(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    let id = ada.found("A").await;
    let viewer = stage.caller_of(Role::Viewer, id).await;
    let found = ticket(viewer.request(Method::POST, "/v1/tickets")).await;
    assert_eq!((found.status, found.code()), (403, "forbidden"), "it never might");

    let key = stage.caller_of(Role::Owner, id).await;
    let made = ticket_of(&key).await;
    let key_id = key.get("/v1/whoami").await.text("/key_id").parse().unwrap();
    let input = RevokeKey { key_id, reason: "lost".to_owned() };
    let done = revoke_key(&stage.commands, &stage.context(), input).await.unwrap();
    stage.projector.wait_for(done.position, PATIENCE).await.unwrap();
    refused(&saves(&stage.base, &made).await, (401, "unauthenticated"));

    let program = json!({ "name": "books", "role": "finance" });
    let program = ada.post("/v1/service-accounts", &program).await.text("/service_account_id");
    let wish = json!({ "name": "k", "service_account_id": program });
    let books = ada.post("/v1/keys", &wish).await.text("/key");
    let books = Caller { key: Some(books), ..key.clone() };
    let path = format!("/v1/service-accounts/{program}");
    let made = ticket_of(&books).await;
    assert_eq!(ada.post(&path, &json!({ "role": "viewer" })).await.status, 200);
    refused(&saves(&stage.base, &made).await, (403, "forbidden"));
    assert_eq!(ada.post(&path, &json!({ "role": "finance" })).await.status, 200);
    let made = ticket_of(&books).await;
    assert_eq!(ada.post(&format!("{path}/disable"), &json!({})).await.status, 200);
    refused(&saves(&stage.base, &made).await, (401, "service_account_disabled"));

    let made = ticket(ada.request(Method::POST, "/v1/tickets")).await.text("/ticket");
    let suspended = ticket(ada.request(Method::POST, "/v1/tickets")).await.text("/ticket");
    let operator = stage.caller(Role::PlatformOperator).await;
    let path = format!("/v1/organisations/{id}/suspend");
    assert_eq!(operator.post(&path, &json!({ "reason": "unpaid" })).await.status, 200);
    refused(&saves(&stage.base, &suspended).await, (403, "organisation_suspended"));
    assert_eq!(ada.post("/v1/session/end", &json!({})).await.status, 200);
    refused(&saves(&stage.base, &made).await, (401, "session_over"));
    stage.strike().await;
}
