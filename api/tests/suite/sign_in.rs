//! Signing in through another provider, which is a real one in a process of its own.
use cairn_api::auth::SecondFactor;
use cairn_api::outside::providers;
use cairn_api::wiring::Outside;
use cairn_commands::privacy::{Wish, erase};
use cairn_core::Subject;
use cairn_oidc::ProviderConfig;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::person::Person;
use crate::provider::{Browser, NAME, Provider};
use crate::support::Stage;

async fn setting(options: PgConnectOptions) -> (Provider, Stage) {
    let mut provider = Provider::start().await;
    let stage = Stage::set_vouched(options, vec![provider.config()]).await;
    provider.knows(&stage).await;
    (provider, stage)
}

/// Whoever has a session in this browser, and the token for changes.
async fn person(stage: &Stage, browser: &Browser) -> Person {
    let mut person = Person::new(stage, "");
    person.cookie = browser.cookie(&stage.base, "__Host-cairn").expect("nobody is signed in");
    let session = person.get("/v1/session").await;
    assert_eq!(session.status, 200, "{}", session.body);
    person.csrf = session.text("/csrf_token");
    person.email = session.text("/email");
    person
}

async fn user_id(person: &Person) -> String {
    person.get("/v1/session").await.text("/user_id")
}

#[sqlx::test(migrations = "../migrations")]
async fn a_provider_registers_nobody_where_newcomers_agree_to_terms(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let mut provider = Provider::start().await;
    let config = provider.config();
    let among = |parts: &mut Outside| {
        parts.providers = providers(&[config], &parts.public_url).unwrap();
        parts.promises.terms = Some("2026-11".to_owned());
    };
    let stage = Stage::set_among(options, among).await;
    provider.knows(&stage).await;
    let page = Browser::open().signs_in(&stage, "ada").await;
    assert_eq!((page.status, page.code.as_str()), (422, "terms_not_accepted"));
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_newcomer_is_registered_by_the_providers_word_and_known_afterwards(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let (mut provider, stage) = setting(options).await;
    let listed = stage.nobody().get("/v1/sign-in/providers").await;
    assert_eq!(listed.text("/items/0/name"), NAME);
    let mut browser = Browser::open();
    let authorization = browser.begins(&stage).await;
    for word in ["code_challenge_method=S256", "state=", "nonce=", "scope=openid"] {
        assert!(authorization.contains(word), "{authorization}");
    }
    let back = browser.vouched(&authorization, &stage, "ada").await;
    let attempt = browser.cookie(&stage.base, "__Host-cairn-attempt").unwrap();
    let page = browser.get(&back).await;
    assert_eq!((page.status, page.code.as_str()), (303, ""));
    assert!(page.location.ends_with("/device"), "{}", page.location);
    assert_eq!(browser.cookie(&stage.base, "__Host-cairn-attempt"), None, "it is used up");
    let ada = person(&stage, &browser).await;
    assert_eq!(ada.email, "ada@example.org");
    let sessions = ada.get("/v1/sessions").await;
    assert_eq!(sessions.text("/items/0/factor"), "identity_provider");
    let identities = ada.get("/v1/me/identities").await;
    assert_eq!(identities.text("/items/0/subject"), "ada");
    assert_eq!(identities.text("/items/0/issuer"), provider.issuer);

    browser.keep(&stage.base, &attempt);
    let again = browser.get(&back).await;
    assert_eq!((again.status, again.code.as_str()), (400, "sign_in_attempt_invalid"), "replayed");
    let mut elsewhere = Browser::open();
    assert_eq!(elsewhere.signs_in(&stage, "ada").await.status, 303);
    assert_eq!(user_id(&person(&stage, &elsewhere).await).await, user_id(&ada).await);

    provider.tell("rotate").await;
    let mut later = Browser::open();
    let page = later.signs_in(&stage, "ada").await;
    assert_eq!((page.status, page.code.as_str()), (303, ""), "the provider has another key");
    assert_eq!(user_id(&person(&stage, &later).await).await, user_id(&ada).await);
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_provider_of_which_more_factors_are_demanded_vouches_only_with_them(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let mut provider = Provider::start().await;
    let class = Some("urn:example:mfa".to_owned());
    let config = ProviderConfig { multi_factor_acr: class, ..provider.config() };
    let demand = |parts: &mut Outside| {
        parts.providers = providers(&[config], &parts.public_url).unwrap();
        parts.second_factor = SecondFactor::Demanded;
    };
    let stage = Stage::set_among(options, demand).await;
    provider.knows(&stage).await;
    let page = Browser::open().signs_in(&stage, "ada").await;
    assert_eq!((page.status, page.code.as_str()), (403, "provider_refused"));
    let mut browser = Browser::open();
    let page = browser.signs_in(&stage, "strong").await;
    assert_eq!((page.status, page.code.as_str()), (303, ""));
    let mut strong = person(&stage, &browser).await;
    let sessions = strong.get("/v1/sessions").await;
    assert_eq!(sessions.text("/items/0/factor"), "identity_provider_multi_factor");
    strong.found("Engines").await;
    assert_eq!(strong.get("/v1/organisation").await.status, 200, "it counts as two here");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn an_answer_fits_the_browser_that_asked_and_nobody_else(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let (_provider, stage) = setting(options).await;
    let (mut ada, mut eve) = (Browser::open(), Browser::open());
    let authorization = eve.begins(&stage).await;
    let eves = eve.vouched(&authorization, &stage, "eve").await;
    let without = Browser::open().get(&eves).await;
    assert_eq!((without.status, without.code.as_str()), (400, "sign_in_attempt_invalid"));
    ada.begins(&stage).await;
    let foreign = ada.get(&eves).await;
    assert_eq!((foreign.status, foreign.code.as_str()), (400, "sign_in_attempt_invalid"));
    assert_eq!(ada.cookie(&stage.base, "__Host-cairn"), None, "ada is not signed in as eve");
    // What ada began is still hers to end.
    let authorization = ada.begins(&stage).await;
    let back = ada.vouched(&authorization, &stage, "ada").await;
    let mixed = ada.get(&back.replace("iss=", "iss=http%3A%2F%2Felsewhere.example%2F&was=")).await;
    assert_eq!((mixed.status, mixed.code.as_str()), (400, "sign_in_attempt_invalid"), "RFC 9207");
    assert_eq!(Browser::open().signs_in(&stage, "nobody").await.code, "provider_refused");
    assert_eq!(Browser::open().signs_in(&stage, "unsure").await.code, "identity_unknown");
    let page = ada.get(&format!("{}/v1/sign-in/oidc/none", stage.base)).await;
    assert_eq!((page.status, page.code.as_str()), (404, "not_found"));
    assert_eq!(eve.get(&eves).await.status, 303, "it was eve's");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn an_account_is_linked_by_whoever_is_signed_in_and_never_silently(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let (_provider, stage) = setting(options).await;
    let grace = Person::signed_in(&stage, "grace@example.org").await;
    let mut browser = Browser::open();
    let page = browser.signs_in(&stage, "grace").await;
    assert_eq!((page.status, page.code.as_str()), (409, "identity_unlinked"));

    let begun = grace.post("/v1/me/identities", &json!({ "provider": NAME })).await;
    assert_eq!(begun.status, 200, "{}", begun.body);
    browser.keep(&stage.base, begun.header("set-cookie"));
    let back = browser.vouched(&begun.text("/authorization_url"), &stage, "grace").await;
    assert_eq!(browser.get(&back).await.status, 303);
    assert_eq!(browser.cookie(&stage.base, "__Host-cairn"), None, "linking signs nobody in");
    assert_eq!(browser.signs_in(&stage, "grace").await.status, 303);
    assert_eq!(user_id(&person(&stage, &browser).await).await, user_id(&grace).await);

    let other = Person::signed_in(&stage, "other@example.org").await;
    let begun = other.post("/v1/me/identities", &json!({ "provider": NAME })).await;
    browser.keep(&stage.base, begun.header("set-cookie"));
    let back = browser.vouched(&begun.text("/authorization_url"), &stage, "grace").await;
    assert_eq!(browser.get(&back).await.code, "identity_in_use", "an identity belongs to one");
    let begun = other.post("/v1/me/identities", &json!({ "provider": NAME })).await;
    browser.keep(&stage.base, begun.header("set-cookie"));
    let back = browser.vouched(&begun.text("/authorization_url"), &stage, "third").await;
    assert_eq!(other.post("/v1/session/end", &json!({})).await.status, 200);
    assert_eq!(browser.get(&back).await.code, "session_over", "whoever began it has left");

    let id = grace.get("/v1/me/identities").await.text("/items/0/identity_id");
    let unlinked = grace.post(&format!("/v1/me/identities/{id}/unlink"), &json!({})).await;
    assert_eq!(unlinked.status, 200, "{}", unlinked.body);
    let again = grace.post(&format!("/v1/me/identities/{id}/unlink"), &json!({})).await;
    assert_eq!((again.status, again.code()), (404, "unknown_identity"));
    let page = Browser::open().signs_in(&stage, "grace").await;
    assert_eq!(page.code, "identity_unlinked", "it opens nothing any more");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn who_is_locked_out_or_erased_does_not_come_in_by_the_side_door(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let (_provider, stage) = setting(options.clone()).await;
    let mut browser = Browser::open();
    assert_eq!(browser.signs_in(&stage, "ada").await.status, 303);
    let ada = person(&stage, &browser).await;
    let known = user_id(&ada).await;
    let mut guesser = Person::new(&stage, "ada@example.org");
    for _ in 0..10 {
        assert_eq!(guesser.sign_in("not-her-password").await.code(), "sign_in_failed");
    }
    let page = Browser::open().signs_in(&stage, "ada").await;
    assert_eq!((page.status, page.code.as_str()), (403, "sign_in_locked"));

    let subject = Subject::user(known.parse().unwrap());
    let wish = Wish {
        subject,
        reason: "asked".to_owned(),
        despite_findings: true,
        organisations: vec![],
        when_due: false,
    };
    let mut owner = options.connect().await.unwrap();
    let erased = erase(&stage.commands, &stage.context(), &mut owner, wish).await.unwrap();
    assert!(erased.key_destroyed, "{erased:?}");
    owner.close().await.unwrap();
    let mut later = Browser::open();
    assert_eq!(later.signs_in(&stage, "ada").await.status, 303, "a newcomer again");
    assert_ne!(user_id(&person(&stage, &later).await).await, known);
    stage.strike().await;
}
