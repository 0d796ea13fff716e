//! An issuer that misbehaves as it is told: nothing that it says is believed unless all of it holds.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cairn_oidc::{Attempt, Identity, OidcError, Provider, ProviderConfig};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const SECRET: &str = "a secret of the test";
const NONCE: &str = "the nonce of this attempt";

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key and its name.
struct Key {
    pair: EcdsaKeyPair,
    kid: &'static str,
}

impl Key {
    fn new(kid: &'static str) -> Self {
        Self { pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(), kid }
    }

    fn public(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (base64url(&point[1..33]), base64url(&point[33..]));
        json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid, "x": x, "y": y })
    }

    fn signed(&self, claims: &Value) -> String {
        self.signed_as(&json!({ "alg": "ES256", "kid": self.kid }), claims)
    }

    fn signed_as(&self, header: &Value, claims: &Value) -> String {
        let text = unsigned(header, claims);
        let signature = self.pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", base64url(signature))
    }
}

fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()))
}

/// What the issuer says next.
#[derive(Clone, Default)]
struct Says {
    keys: Vec<Value>,
    answer: Value,
    refuses: bool,
    calls_itself: Option<String>,
    asked_for_keys: usize,
}

type Shared = Arc<Mutex<Says>>;

struct Issuer {
    base: String,
    says: Shared,
    provider: Provider,
    _tasks: JoinSet<()>,
}

impl Issuer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let says = Shared::default();
        let of = base.clone();
        let metadata = move |State(says): State<Shared>| {
            let name = says.lock().unwrap().calls_itself.clone().unwrap_or_else(|| of.clone());
            let at = |path: &str| format!("{of}/{path}");
            let metadata = json!({
                "issuer": name, "authorization_endpoint": at("authorize"), "token_endpoint": at("token"),
                "jwks_uri": at("jwks"), "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
            });
            async move { Json(metadata) }
        };
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks", get(jwks))
            .route("/token", post(token))
            .with_state(Arc::clone(&says));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
        let provider = provider(&base);
        Self { base, says, provider, _tasks: tasks }
    }

    fn claims(&self) -> Value {
        json!({
            "iss": self.base, "sub": "248289761001", "aud": "cairn", "exp": 4_000_000_000_i64,
            "iat": 1_500_000_000, "nonce": NONCE, "email": "ada@example.org", "email_verified": true,
            "name": "Ada",
        })
    }

    fn publishes(&self, keys: &[&Key]) {
        self.says.lock().unwrap().keys = keys.iter().map(|key| key.public()).collect();
    }

    /// Answers with this token, and is asked.
    async fn identify(&self, token: String) -> Result<Identity, OidcError> {
        let answer = json!({ "access_token": "at", "token_type": "Bearer", "id_token": token });
        self.says.lock().unwrap().answer = answer;
        self.asked().await
    }

    /// As a server asks, which runs requests on any thread.
    fn asked(&self) -> Pin<Box<dyn Future<Output = Result<Identity, OidcError>> + Send + '_>> {
        Box::pin(async {
            let attempt = attempt();
            self.provider.identify("code".to_owned(), &attempt).await
        })
    }
}

async fn jwks(State(says): State<Shared>) -> Json<Value> {
    let mut says = says.lock().unwrap();
    says.asked_for_keys += 1;
    Json(json!({ "keys": says.keys }))
}

async fn token(State(says): State<Shared>) -> (StatusCode, Json<Value>) {
    let says = says.lock().unwrap();
    match says.refuses {
        true => (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" }))),
        false => (StatusCode::OK, Json(says.answer.clone())),
    }
}

fn provider(issuer: &str) -> Provider {
    let config = ProviderConfig { issuer: issuer.to_owned(), ..config() };
    Provider::try_new(config, "http://127.0.0.1:9/callback").unwrap()
}

fn attempt() -> Attempt {
    Attempt { state: "s".to_owned(), nonce: NONCE.to_owned(), verifier: "v".repeat(64) }
}

fn untrusted(found: Result<Identity, OidcError>, name: &str) {
    assert!(matches!(found, Err(OidcError::Untrusted(_))), "{name}: {found:?}");
}

#[tokio::test]
async fn a_token_that_holds_vouches() {
    let (issuer, key) = (Issuer::start().await, Key::new("one"));
    issuer.publishes(&[&key]);
    let found = issuer.identify(key.signed(&issuer.claims())).await.unwrap();
    assert_eq!((found.issuer.as_str(), found.subject.as_str()), (&*issuer.base, "248289761001"));
    assert_eq!((found.email.as_deref(), found.email_verified), (Some("ada@example.org"), true));
    assert_eq!(found.name.as_deref(), Some("Ada"));
    let url = issuer.provider.authorize(&attempt()).await.unwrap();
    assert!(url.starts_with(&format!("{}/authorize?", issuer.base)), "{url}");
    assert!(url.contains("code_challenge_method=S256") && !url.contains(&"v".repeat(64)), "{url}");
}

#[tokio::test]
async fn a_token_with_anything_wrong_vouches_for_nobody() {
    let (issuer, key) = (Issuer::start().await, Key::new("one"));
    issuer.publishes(&[&key]);
    for (member, value) in [
        ("nonce", json!("another attempt's")),
        ("nonce", Value::Null),
        ("aud", json!("another client")),
        ("aud", json!(["cairn", "another client"])),
        ("iss", json!("https://accounts.example.org")),
        ("exp", json!(1_500_000_001)),
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
    ] {
        let mut claims = issuer.claims();
        claims[member] = value.clone();
        untrusted(issuer.identify(key.signed(&claims)).await, &format!("{member}: {value}"));
    }
    let mut silent = issuer.claims();
    silent.as_object_mut().unwrap().remove("email_verified");
    assert!(!issuer.identify(key.signed(&silent)).await.unwrap().email_verified, "unsaid is no");
    issuer.says.lock().unwrap().answer = json!({ "access_token": "at", "token_type": "Bearer" });
    untrusted(issuer.provider.identify("c".to_owned(), &attempt()).await, "no token");
}

#[tokio::test]
async fn how_strong_it_was_is_believed_when_it_is_said_and_demanded_when_that_is_set() {
    let (mut issuer, key) = (Issuer::start().await, Key::new("one"));
    issuer.publishes(&[&key]);
    let said = |member: &str, value: Value| {
        let mut claims = issuer.claims();
        claims[member] = value;
        key.signed(&claims)
    };
    let (silent, by_methods) = (key.signed(&issuer.claims()), said("amr", json!(["pwd", "mfa"])));
    let (one, strong) = (said("amr", json!(["pwd"])), said("acr", json!("urn:example:mfa")));
    let weak = said("acr", json!("urn:example:mfa2"));
    for (token, two) in [(&silent, false), (&by_methods, true), (&one, false), (&strong, false)] {
        assert_eq!(issuer.identify(token.clone()).await.unwrap().multi_factor, two);
    }
    let class = "urn:example:mfa".to_owned();
    let demanding = ProviderConfig {
        issuer: issuer.base.clone(),
        multi_factor_acr: Some(class.clone()),
        ..config()
    };
    issuer.provider = Provider::try_new(demanding, "http://127.0.0.1:9/callback").unwrap();
    let url = issuer.provider.authorize(&attempt()).await.unwrap();
    assert!(url.contains("acr_values=urn%3Aexample%3Amfa"), "{url}");
    for token in [silent, by_methods, one, weak] {
        assert_eq!(issuer.identify(token).await, Err(OidcError::Weak(class.clone())));
    }
    assert!(issuer.identify(strong).await.unwrap().multi_factor);
}

#[tokio::test]
async fn only_the_issuers_own_key_signs() {
    let (issuer, key, other) = (Issuer::start().await, Key::new("one"), Key::new("one"));
    issuer.publishes(&[&key]);
    let claims = issuer.claims();
    untrusted(issuer.identify(other.signed(&claims)).await, "another key of the same name");
    let none = format!("{}.", unsigned(&json!({ "alg": "none" }), &claims));
    untrusted(issuer.identify(none).await, "alg none");
    let none = key.signed_as(&json!({ "alg": "none", "kid": "one" }), &claims);
    untrusted(issuer.identify(none).await, "alg none with a signature");
    // What everybody who has the client's secret could sign.
    let text = unsigned(&json!({ "alg": "HS256" }), &claims);
    let shared = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signed = format!("{text}.{}", base64url(hmac::sign(&shared, text.as_bytes())));
    untrusted(issuer.identify(signed).await, "HS256 with the client's secret");
    let mut changed = key.signed(&claims);
    let at = changed.find('.').unwrap() + 5;
    changed.replace_range(at..=at, if &changed[at..=at] == "A" { "B" } else { "A" });
    untrusted(issuer.identify(changed).await, "changed after it was signed");
    assert!(issuer.identify(key.signed(&claims)).await.is_ok(), "the positive control");
}

#[tokio::test]
async fn a_new_key_is_asked_for_when_it_is_first_seen_and_an_old_one_opens_no_more() {
    let (issuer, first, second) = (Issuer::start().await, Key::new("one"), Key::new("two"));
    issuer.publishes(&[&first]);
    let claims = issuer.claims();
    assert!(issuer.identify(first.signed(&claims)).await.is_ok());
    assert!(issuer.identify(first.signed(&claims)).await.is_ok());
    assert_eq!(issuer.says.lock().unwrap().asked_for_keys, 1, "what is known is not asked for");
    issuer.publishes(&[&second]);
    assert!(issuer.identify(second.signed(&claims)).await.is_ok(), "it has another key now");
    assert_eq!(issuer.says.lock().unwrap().asked_for_keys, 2);
    untrusted(issuer.identify(first.signed(&claims)).await, "the key before");
}

#[tokio::test]
async fn a_provider_that_refuses_lies_about_its_name_or_is_away_is_told_apart() {
    let (issuer, key) = (Issuer::start().await, Key::new("one"));
    issuer.publishes(&[&key]);
    issuer.says.lock().unwrap().refuses = true;
    let found = issuer.identify(key.signed(&issuer.claims())).await;
    assert_eq!(found, Err(OidcError::Refused("invalid_grant".to_owned())));
    issuer.says.lock().unwrap().calls_itself = Some("https://accounts.example.org".to_owned());
    untrusted(provider(&issuer.base).identify("c".to_owned(), &attempt()).await, "another name");
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let found = provider(&format!("http://{away}")).authorize(&attempt()).await;
    assert!(matches!(found, Err(OidcError::Unavailable(_))), "{found:?}");
    let plain = ProviderConfig { issuer: "http://accounts.example.org".to_owned(), ..config() };
    let plain = Provider::try_new(plain, "https://cairn.example/callback");
    assert!(matches!(plain, Err(OidcError::Misconfigured(_))), "secrets go over TLS only");
}

fn config() -> ProviderConfig {
    ProviderConfig {
        name: "own".to_owned(),
        issuer: String::new(),
        client_id: "cairn".to_owned(),
        client_secret: SECRET.to_owned(),
        multi_factor_acr: None,
    }
}
