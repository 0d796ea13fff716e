//! People: from the first letter to a key of one's own, and everything that must not open a door.
use std::time::{Duration, Instant};

use cairn_commands::privacy::{EraseError, Wish, erase};
use cairn_core::Subject;
use cairn_identity::Role;
use reqwest::Method;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::person::{Mailbox, PASSWORD, Person};
use crate::support::{Caller, PATIENCE, Stage, answer};

#[sqlx::test(migrations = "../migrations")]
async fn a_newcomer_registers_signs_in_founds_and_gets_a_key(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let mut ada = Person::new(&stage, "ada@example.org");
    assert_eq!(ada.register().await.body, json!({ "status": "code_sent" }));
    let code = Mailbox::of(&stage, "ada@example.org").code_beside(&[]).await;
    let early = ada.sign_in(PASSWORD).await;
    assert_eq!((early.status, early.code()), (403, "email_unverified"));
    let verified = ada.post("/v1/email-verifications", &json!({ "code": code })).await;
    assert_eq!(verified.status, 200, "{}", verified.body);
    let again = ada.post("/v1/email-verifications", &json!({ "code": code })).await;
    assert_eq!((again.status, again.code()), (422, "link_invalid"), "a code works once");

    let signed_in = ada.sign_in(PASSWORD).await;
    assert_eq!(signed_in.status, 201, "{}", signed_in.body);
    let cookie = signed_in.header("set-cookie");
    for word in ["__Host-cairn=", "Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    assert!(!signed_in.body.to_string().contains("cairn_session_"), "it is in the cookie alone");
    let nowhere = ada.get("/v1/balance").await;
    assert_eq!((nowhere.status, nowhere.code()), (400, "organisation_needed"));
    let id = ada.found("Analytical Engines").await;
    ada.organisation = None;
    let who = ada.get("/v1/whoami").await;
    assert_eq!((who.text("/organisation_id"), who.text("/role")), (id.to_string(), "owner".into()));
    let session = ada.get("/v1/session").await;
    assert_eq!(session.text("/email"), "ada@example.org");
    assert_eq!(session.text("/organisations/0/name"), "Analytical Engines");
    assert_eq!(ada.get("/v1/organisation").await.text("/name"), "Analytical Engines");

    let wish = json!({ "name": "ci", "role": "developer" });
    let made = ada.post("/v1/keys", &wish).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let key = Caller { key: Some(made.text("/key")), organisation_id: id, ..stage.nobody() };
    let who = key.get("/v1/whoami").await;
    assert_eq!(
        (who.text("/role"), who.text("/organisation_id")),
        ("developer".into(), id.to_string())
    );
    assert_eq!(key.get("/v1/allocations").await.status, 200);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn nobody_learns_who_has_an_account(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    let mailbox = Mailbox::of(&stage, "ada@example.org");
    let registered = Person::new(&stage, "ada@example.org").register().await;
    let stranger = Person::new(&stage, "nobody@example.org");
    let fresh = stranger.register().await;
    assert_eq!((registered.status, &registered.body), (fresh.status, &fresh.body));
    mailbox.says("has an account already").await;
    for path in ["/v1/password-resets", "/v1/users/code"] {
        let (of_ada, of_none) = (
            ada.post(path, &json!({ "email": "ada@example.org" })).await,
            ada.post(path, &json!({ "email": "none@example.org" })).await,
        );
        assert_eq!((of_ada.status, of_ada.body), (of_none.status, of_none.body), "{path}");
    }
    let wrong = ada.sign_in("not-her-password").await;
    let unknown = Person::new(&stage, "none@example.org").sign_in(PASSWORD).await;
    assert_eq!((wrong.status, wrong.code()), (401, "sign_in_failed"));
    let alike = |answer: &crate::support::Answer| {
        let mut body = answer.body.clone();
        body["request_id"] = json!(null);
        (answer.status, body)
    };
    assert_eq!(alike(&wrong), alike(&unknown));
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_change_with_a_session_needs_its_token_and_a_place_that_may_ask(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    ada.found("A").await;
    let wish = json!({ "name": "B" });
    let found = |person: Person, origin: Option<&'static str>| {
        let wish = wish.clone();
        async move {
            let request = person.request(Method::POST, "/v1/organisation/name");
            let request = request.header("idempotency-key", "k").json(&wish);
            let request = match origin {
                Some(origin) => request.header("origin", origin),
                None => request,
            };
            answer(request).await
        }
    };
    for csrf in ["", "0", &"0".repeat(64)] {
        let forged = found(Person { csrf: csrf.to_owned(), ..ada.clone() }, None).await;
        assert_eq!((forged.status, forged.code()), (403, "csrf_token_invalid"), "{csrf}");
    }
    let foreign = found(ada.clone(), Some("https://evil.example.org")).await;
    assert_eq!((foreign.status, foreign.code()), (403, "origin_forbidden"));
    assert_eq!(ada.get("/v1/organisation").await.text("/name"), "A", "nothing has changed");
    assert_eq!(found(ada.clone(), Some(crate::support::CONSOLE)).await.status, 200);
    let read = Person { csrf: String::new(), ..ada.clone() };
    assert_eq!(read.get("/v1/organisation").await.status, 200, "reading needs none");
    let mut cookie = ada.cookie.clone();
    cookie.replace_range(cookie.len() - 1.., if cookie.ends_with('0') { "1" } else { "0" });
    for forged in [cookie, "__Host-cairn=".to_owned(), "__Host-cairn=x".to_owned()] {
        let refused = Person { cookie: forged.clone(), ..ada.clone() }.get("/v1/session").await;
        assert_eq!((refused.status, refused.code()), (401, "unauthenticated"), "{forged}");
    }
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn sessions_are_listed_ended_and_renewed(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set_counting(options, "failures=20/86400".parse().unwrap()).await;
    let first = Person::signed_in(&stage, "ada@example.org").await;
    let mut second = Person::new(&stage, "ada@example.org");
    assert_eq!(second.sign_in(PASSWORD).await.status, 201);
    let listed = second.get("/v1/sessions").await;
    let items = listed.body["items"].as_array().unwrap().clone();
    assert_eq!(
        (items.len(), &items[0]["current"], &items[1]["current"]),
        (2, &json!(true), &json!(false))
    );
    let other = items[1]["session_id"].as_str().unwrap();
    let ended = second.post(&format!("/v1/sessions/{other}/end"), &json!({})).await;
    assert_eq!(ended.status, 200, "{}", ended.body);
    // Also a page that asks on and on guesses nothing: whoever signs in again is let in.
    for _ in 0..30 {
        let over = first.get("/v1/session").await;
        assert_eq!((over.status, over.code()), (401, "session_over"), "it is over at once");
    }
    let none = second.post(&format!("/v1/sessions/{other}/end"), &json!({})).await;
    assert_eq!((none.status, none.code()), (404, "unknown_session"));

    let before = second.clone();
    let renewed = second.post("/v1/session/renew", &json!({})).await;
    assert_eq!(renewed.status, 200, "{}", renewed.body);
    second.keep(&renewed);
    assert_ne!(before.cookie, second.cookie);
    assert_eq!(before.get("/v1/session").await.status, 401, "the old secret opens nothing");
    assert_eq!(second.get("/v1/session").await.status, 200);

    let left = second.post("/v1/session/end", &json!({})).await;
    assert!(left.header("set-cookie").contains("Max-Age=0"), "{}", left.header("set-cookie"));
    assert_eq!(second.get("/v1/session").await.status, 401);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_new_password_ends_every_other_session(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    let mut other = Person::new(&stage, "ada@example.org");
    other.sign_in(PASSWORD).await;
    let new = "correct horse battery staple";
    let change = |old: &str, new: &str| json!({ "old_password": old, "password": new });
    let wrong = ada.post("/v1/password", &change("wrong-password-1", new)).await;
    assert_eq!((wrong.status, wrong.code()), (401, "sign_in_failed"));
    let weak = ada.post("/v1/password", &change(PASSWORD, "ada@example.org")).await;
    assert_eq!((weak.status, weak.code()), (422, "password_weak"));
    let changed = ada.post("/v1/password", &change(PASSWORD, new)).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    ada.keep(&changed);
    assert_eq!(ada.get("/v1/session").await.status, 200, "this one goes on");
    assert_eq!(other.get("/v1/session").await.status, 401);
    assert_eq!(other.sign_in(PASSWORD).await.status, 401);
    assert_eq!(other.sign_in(new).await.status, 201);

    let mailbox = Mailbox::of(&stage, "ada@example.org");
    let known = mailbox.codes();
    ada.post("/v1/password-resets", &json!({ "email": "Ada@Example.org " })).await;
    let code = mailbox.code_beside(&known).await;
    let reset = |code: &str| json!({ "code": code, "password": "four other words here" });
    let done = ada.post("/v1/password-resets/confirm", &reset(&code)).await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(ada.get("/v1/session").await.status, 401, "every session is over");
    let again = ada.post("/v1/password-resets/confirm", &reset(&code)).await;
    assert_eq!(again.code(), "link_invalid");
    assert_eq!(ada.sign_in("four other words here").await.status, 201);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn failures_in_a_row_lock_the_account_also_for_the_right_password(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    for _ in 0..10 {
        assert_eq!(ada.sign_in("not-her-password").await.code(), "sign_in_failed");
    }
    let locked = ada.sign_in(PASSWORD).await;
    assert_eq!((locked.status, locked.code()), (403, "sign_in_locked"));
    assert_eq!(ada.get("/v1/session").await.status, 200, "who is in stays in");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn members_come_by_invitation_and_nobody_rises_by_themselves(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    let id = ada.found("Engines").await;
    let mut grace = Person::signed_in(&stage, "grace@example.org").await;
    let mut eve = Person::signed_in(&stage, "eve@example.org").await;
    let mailbox = Mailbox::of(&stage, "grace@example.org");
    let known = mailbox.codes();
    let wish = json!({ "email": "grace@example.org", "role": "admin" });
    let invited = ada.post("/v1/invitations", &wish).await;
    assert_eq!(invited.status, 201, "{}", invited.body);
    let code = json!({ "code": mailbox.code_beside(&known).await });
    let stolen = eve.post("/v1/invitations/accept", &code).await;
    assert_eq!((stolen.status, stolen.code()), (403, "invitation_for_another"));
    let joined = grace.post("/v1/invitations/accept", &code).await;
    assert_eq!(joined.status, 200, "{}", joined.body);
    let again = grace.post("/v1/invitations/accept", &code).await;
    assert_eq!(again.code(), "unknown_invitation");
    (grace.organisation, eve.organisation) = (Some(id), Some(id));
    assert_eq!(eve.get("/v1/members").await.code(), "forbidden");

    let members = grace.get("/v1/members").await;
    let emails: Vec<_> =
        members.body["items"].as_array().unwrap().iter().map(|m| m["email"].clone()).collect();
    assert_eq!(emails, ["grace@example.org", "ada@example.org"]);
    let own = grace.get("/v1/session").await.text("/user_id");
    let raise = grace.post(&format!("/v1/members/{own}/role"), &json!({ "role": "owner" })).await;
    assert_eq!((raise.status, raise.code()), (403, "role_too_high"));
    let key = json!({ "name": "k", "role": "owner" });
    assert_eq!(grace.post("/v1/keys", &key).await.code(), "role_too_high");
    let platform = json!({ "name": "k", "role": "platform_operator" });
    assert_eq!(grace.post("/v1/keys", &platform).await.code(), "body_invalid");
    let leaving = ada.post(&format!("/v1/organisations/{id}/leave"), &json!({})).await;
    assert_eq!((leaving.status, leaving.code()), (409, "last_owner"));
    let removed = ada.post(&format!("/v1/members/{own}/remove"), &json!({})).await;
    assert_eq!(removed.status, 200, "{}", removed.body);
    assert_eq!(grace.get("/v1/members").await.code(), "forbidden", "at once");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn support_looks_only_with_a_grant_and_only_reads(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    let id = ada.found("Engines").await;
    let support = stage.caller(Role::PlatformSupport).await;
    let look = async |path: &str| {
        let request = support.request(Method::GET, path).header("cairn-act-for", id.to_string());
        answer(request).await
    };
    assert_eq!(look("/v1/balance").await.code(), "grant_missing");
    let grant = ada.post("/v1/support-grants", &json!({ "reason": "look", "hours": 1 })).await;
    assert_eq!(grant.status, 201, "{}", grant.body);
    assert_eq!(look("/v1/balance").await.status, 200);
    let who = look("/v1/whoami").await;
    assert_eq!(
        (who.text("/grant_id"), who.text("/role")),
        (grant.text("/grant_id"), "viewer".into())
    );
    let change =
        support.request(Method::POST, "/v1/top-ups").header("cairn-act-for", id.to_string());
    let change = change.header("idempotency-key", "k").json(&json!({}));
    assert_eq!(answer(change).await.code(), "forbidden");
    let owner = stage.caller(Role::Owner).await;
    let request = owner.request(Method::GET, "/v1/balance").header("cairn-act-for", id.to_string());
    assert_eq!(answer(request).await.code(), "grant_missing", "only support may");
    let end = format!("/v1/support-grants/{}/end", grant.text("/grant_id"));
    assert_eq!(ada.post(&end, &json!({})).await.status, 200);
    assert_eq!(look("/v1/balance").await.code(), "grant_missing");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_suspended_organisation_reads_pays_and_lets_go(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    let id = ada.found("Engines").await;
    let operator = stage.caller(Role::PlatformOperator).await;
    let suspend = format!("/v1/organisations/{id}/suspend");
    let refused = ada.post(&suspend, &json!({ "reason": "me" })).await;
    assert_eq!(refused.code(), "forbidden");
    let suspended = operator.post(&suspend, &json!({ "reason": "unpaid" })).await;
    assert_eq!(suspended.status, 200, "{}", suspended.body);
    let fresh = Person { ..ada.clone() };
    let mut again = Person::new(&stage, "ada@example.org");
    again.sign_in(PASSWORD).await;
    again.organisation = fresh.organisation;
    let shown = again.get("/v1/organisation").await;
    assert_eq!(shown.text("/suspended_reason"), "unpaid");
    let change = again.post("/v1/keys", &json!({ "name": "k", "role": "viewer" })).await;
    assert_eq!((change.status, change.code()), (403, "organisation_suspended"));
    let paid = json!({ "amount": "5.00", "currency": "USD", "payment_method": "pm_card_visa" });
    assert_eq!(again.post("/v1/top-ups", &paid).await.status, 201);
    let resume = format!("/v1/organisations/{id}/resume");
    assert_eq!(operator.post(&resume, &json!({ "reason": "paid" })).await.status, 200);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn keys_are_scoped_shown_once_rotated_and_revoked(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let owner = stage.caller(Role::Owner).await;
    let wish =
        json!({ "name": "reader", "role": "viewer", "scopes": ["ledger:read", "identity:read"] });
    let made = owner.post_as("once", "/v1/keys", &wish).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let repeated = owner.post_as("once", "/v1/keys", &wish).await;
    assert_eq!(repeated.text("/key_id"), made.text("/key_id"));
    assert!(repeated.body.get("key").is_none(), "shown once: {}", repeated.body);
    let with = |key: String| Caller { key: Some(key), ..owner.clone() };
    let reader = with(made.text("/key"));
    assert_eq!(reader.get("/v1/balance").await.status, 200);
    assert_eq!(reader.get("/v1/allocations").await.code(), "scope_missing");
    let unknown = json!({ "name": "x", "role": "viewer", "scopes": ["money:read"] });
    let unknown = owner.post("/v1/keys", &unknown).await;
    assert_eq!((unknown.status, unknown.text("/errors/0/pointer")), (422, "/scopes/0".into()));

    let id = made.text("/key_id");
    let rotated = owner.post(&format!("/v1/keys/{id}/rotate"), &json!({})).await;
    assert_eq!(rotated.status, 201, "{}", rotated.body);
    let successor = with(rotated.text("/key"));
    assert_eq!(successor.get("/v1/balance").await.status, 200);
    assert_eq!(successor.get("/v1/allocations").await.code(), "scope_missing", "the same scopes");
    assert_eq!(reader.get("/v1/balance").await.status, 200, "both work for a while");
    let shown = owner.get(&format!("/v1/keys/{id}")).await;
    assert_eq!(shown.text("/successor"), rotated.text("/key_id"));
    assert_eq!(shown.text("/name"), "reader");
    assert!(!shown.body.to_string().contains("cairn_test_"));

    let narrow =
        json!({ "name": "narrow", "role": "admin", "scopes": ["identity:write", "ledger:read"] });
    let narrow = with(owner.post("/v1/keys", &narrow).await.text("/key"));
    for more in [json!([]), json!(["compute:read"]), json!(["ledger:read", "compute:write"])] {
        let more = json!({ "name": "more", "role": "viewer", "scopes": more });
        assert_eq!(narrow.post("/v1/keys", &more).await.code(), "scope_missing", "{more}");
    }
    let less = json!({ "name": "less", "role": "viewer", "scopes": ["ledger:read"] });
    assert_eq!(narrow.post("/v1/keys", &less).await.status, 201);
    let taken = narrow.post(&format!("/v1/keys/{id}/rotate"), &json!({})).await;
    assert_eq!(taken.code(), "scope_missing", "its scopes reach further");

    let revoke = format!("/v1/keys/{id}/revoke");
    let stranger = stage.caller(Role::Owner).await;
    let foreign = stranger.post(&revoke, &json!({ "reason": "mine" })).await;
    assert_eq!((foreign.status, foreign.code()), (404, "unknown_api_key"));
    assert_eq!(owner.post(&revoke, &json!({ "reason": "leaked" })).await.status, 200);
    assert_eq!(reader.get("/v1/balance").await.status, 401, "at once");
    let again = owner.post(&format!("/v1/keys/{id}/rotate"), &json!({})).await;
    assert_eq!(again.code(), "api_key_revoked");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn who_is_erased_signs_in_nowhere_and_their_address_is_free(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options.clone()).await;
    let mut ada = Person::signed_in(&stage, "ada@example.org").await;
    ada.found("Engines").await;
    let user = ada.get("/v1/session").await.text("/user_id");
    let mut owner = options.connect().await.unwrap();
    let wish = |subject| Wish {
        subject,
        reason: "asked by letter".to_owned(),
        despite_findings: true,
        organisations: vec![],
        when_due: false,
    };
    let of_user = wish(Subject::user(user.parse().unwrap()));
    let erased = erase(&stage.commands, &stage.context(), &mut owner, of_user).await.unwrap();
    assert!(erased.key_destroyed, "{erased:?}");
    owner.close().await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while ada.get("/v1/session").await.status != 401 {
        assert!(Instant::now() < deadline, "the session goes on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ada.sign_in(PASSWORD).await.code(), "sign_in_failed");
    let again = Person::signed_in(&stage, "ada@example.org").await;
    let session = again.get("/v1/session").await;
    assert_ne!(session.text("/user_id"), user, "another account with the same address");
    assert_eq!(session.body["organisations"], json!([]));
    let wish = wish(Subject::directory());
    let mut owner = options.connect().await.unwrap();
    let refused = erase(&stage.commands, &stage.context(), &mut owner, wish).await;
    assert!(matches!(refused, Err(EraseError::Unknown(_))), "everybody is found by its key");
    owner.close().await.unwrap();
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn nothing_secret_of_a_person_is_readable_at_rest(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let mut ada = Person::signed_in(&stage, "ada.lovelace@example.org").await;
    ada.found("Secret Engines").await;
    let secret = ada.post("/v1/totp", &json!({})).await.text("/secret");
    let codes = Mailbox::of(&stage, "ada.lovelace@example.org").codes();
    let cookie = ada.cookie.split_once('=').unwrap().1.to_owned();
    let canaries: Vec<_> = codes
        .iter()
        .map(String::as_str)
        .chain([
            "ada.lovelace@example.org",
            "Secret Engines",
            PASSWORD,
            "$argon2id",
            &*secret,
            &cookie,
        ])
        .collect();
    let pool = stage.commands.executor.log().pool();
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) FROM information_schema.tables
         WHERE table_type = 'BASE TABLE' AND table_schema = 'public'",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    assert!(tables.len() > 40, "{tables:?}");
    for table in tables {
        for canary in &canaries {
            let found: i64 = sqlx::query_scalar(&format!(
                "SELECT count(*) FROM {table} t WHERE strpos(t::text, $1) > 0"
            ))
            .bind(canary)
            .fetch_one(pool)
            .await
            .unwrap();
            assert_eq!(found, 0, "{canary} can be read in {table}");
        }
    }
    stage.strike().await;
}
