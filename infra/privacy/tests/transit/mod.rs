//! A server that speaks the part of Vault's documented transit API that we use, and misbehaves on request. No Vault: what it refuses and how
//! is taken from the documents of `transit`, and nobody has held it against the real one.
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

pub const TOKEN: &str = "hvs.of-a-test";

type Answer = Result<Json<Value>, (StatusCode, Json<Value>)>;

/// Their secrets, and the number of the oldest that decrypts.
type Versions = (Vec<[u8; 32]>, u64);

#[derive(Default)]
struct Engine {
    /// Versions of each key, the first is 1; and the oldest that decrypts.
    keys: Mutex<BTreeMap<String, Versions>>,
    asked: AtomicU64,
    /// So many of the next requests fail.
    sealed: AtomicU64,
}

#[derive(Clone, Default)]
pub struct Transit(Arc<Engine>);

fn no(status: u16, why: &str) -> (StatusCode, Json<Value>) {
    (StatusCode::from_u16(status).unwrap(), Json(json!({ "errors": [why] })))
}

fn bytes(body: &Value, member: &str) -> Result<Vec<u8>, (StatusCode, Json<Value>)> {
    let text = body[member].as_str().unwrap_or_default();
    BASE64.decode(text).map_err(|_| no(400, "failed to base64-decode"))
}

fn cipher(secret: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret).unwrap())
}

impl Transit {
    /// Listens; answers where the key of this name is.
    pub async fn start(key: &str) -> (Self, String) {
        let transit = Self::default();
        let routes = Router::new()
            .route("/v1/transit/keys/{key}", get(read).post(create))
            .route("/v1/transit/keys/{key}/{verb}", post(change))
            .route("/v1/transit/encrypt/{key}", post(encrypt))
            .route("/v1/transit/decrypt/{key}", post(decrypt))
            .route("/v1/transit/hmac/{key}/sha2-256", post(mac))
            .with_state(transit.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/transit/{key}", listener.local_addr().unwrap());
        let mut server = tokio::task::JoinSet::new();
        server.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        server.detach_all();
        (transit, url)
    }

    /// How often it was asked.
    pub fn asked(&self) -> u64 {
        self.0.asked.load(Ordering::SeqCst)
    }

    /// Fails so often, as a server that is sealed does.
    pub fn seal(&self, times: u64) {
        self.0.sealed.store(times, Ordering::SeqCst);
    }

    /// The oldest version of a key that decrypts, and the newest.
    pub fn range(&self, key: &str) -> (u64, u64) {
        let keys = self.0.keys.lock().unwrap();
        (keys[key].1, keys[key].0.len() as u64)
    }

    fn admit(&self, headers: &HeaderMap) -> Result<(), (StatusCode, Json<Value>)> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let sealed =
            self.0.sealed.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if sealed.is_ok() {
            return Err(no(503, "Vault is sealed"));
        }
        match headers.get("x-vault-token") {
            Some(token) if token == TOKEN => Ok(()),
            _ => Err(no(403, "permission denied")),
        }
    }

    /// A version of a key: the newest unless one is said.
    fn version(
        &self,
        key: &str,
        said: &Value,
    ) -> Result<(u64, [u8; 32]), (StatusCode, Json<Value>)> {
        let keys = self.0.keys.lock().unwrap();
        let (versions, _) = keys.get(key).ok_or_else(|| no(400, "encryption key not found"))?;
        let version = said.as_u64().filter(|n| *n > 0).unwrap_or(versions.len() as u64);
        let secret = versions.get(usize::try_from(version).unwrap() - 1);
        Ok((
            version,
            *secret.ok_or_else(|| {
                no(400, "requested version is higher than the latest key version")
            })?,
        ))
    }
}

async fn read(State(all): State<Transit>, Path(key): Path<String>, headers: HeaderMap) -> Answer {
    all.admit(&headers)?;
    let keys = all.0.keys.lock().unwrap();
    let (versions, oldest) =
        keys.get(&key).ok_or_else(|| (StatusCode::NOT_FOUND, Json(json!({ "errors": [] }))))?;
    Ok(Json(json!({ "data": {
        "name": key, "type": "aes256-gcm96", "latest_version": versions.len(), "min_decryption_version": oldest,
        "min_encryption_version": 0, "min_available_version": 0,
    } })))
}

fn fresh() -> [u8; 32] {
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret).unwrap();
    secret
}

async fn create(
    State(all): State<Transit>,
    Path(key): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Answer {
    all.admit(&headers)?;
    assert_eq!(body["type"], "aes256-gcm96");
    // A key that is there stays as it is.
    all.0.keys.lock().unwrap().entry(key).or_insert_with(|| (vec![fresh()], 1));
    Ok(Json(json!({ "data": {} })))
}

async fn change(
    State(all): State<Transit>,
    Path((key, verb)): Path<(String, String)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Answer {
    all.admit(&headers)?;
    let mut keys = all.0.keys.lock().unwrap();
    let (versions, oldest) =
        keys.get_mut(&key).ok_or_else(|| no(400, "no existing key named so could be found"))?;
    match &*verb {
        "rotate" => versions.push(fresh()),
        "config" => {
            let least = body["min_decryption_version"].as_u64().unwrap();
            if least > versions.len() as u64 {
                return Err(no(400, "cannot set min decryption version above the latest version"));
            }
            *oldest = least;
        }
        _ => return Err((StatusCode::NOT_FOUND, Json(json!({ "errors": [] })))),
    }
    Ok(Json(json!({ "data": {} })))
}

async fn encrypt(
    State(all): State<Transit>,
    Path(key): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Answer {
    all.admit(&headers)?;
    let (version, secret) = all.version(&key, &body["key_version"])?;
    let (mut text, bound) = (bytes(&body, "plaintext")?, bytes(&body, "associated_data")?);
    let mut nonce = [0; NONCE_LEN];
    aws_lc_rs::rand::fill(&mut nonce).unwrap();
    let once = Nonce::assume_unique_for_key(nonce);
    cipher(&secret).seal_in_place_append_tag(once, Aad::from(bound), &mut text).unwrap();
    let sealed = BASE64.encode([&nonce[..], &text].concat());
    Ok(Json(
        json!({ "data": { "ciphertext": format!("vault:v{version}:{sealed}"), "key_version": version } }),
    ))
}

async fn decrypt(
    State(all): State<Transit>,
    Path(key): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Answer {
    all.admit(&headers)?;
    let sealed = body["ciphertext"].as_str().and_then(|text| text.strip_prefix("vault:v"));
    let (version, sealed) = sealed
        .and_then(|text| text.split_once(':'))
        .ok_or_else(|| no(400, "invalid ciphertext: no prefix"))?;
    let version: u64 = version.parse().unwrap();
    let oldest = all.0.keys.lock().unwrap().get(&key).map_or(0, |(_, oldest)| *oldest);
    if version < oldest {
        return Err(no(400, "ciphertext or signature version is disallowed by policy (too old)"));
    }
    let (_, secret) = all.version(&key, &json!(version))?;
    let sealed = BASE64
        .decode(sealed)
        .map_err(|_| no(400, "invalid ciphertext: could not decode base64"))?;
    let (nonce, text) = sealed.split_at(NONCE_LEN);
    let (once, mut text) = (Nonce::try_assume_unique_for_key(nonce).unwrap(), text.to_vec());
    let bound = bytes(&body, "associated_data")?;
    let opened = cipher(&secret).open_in_place(once, Aad::from(bound), &mut text);
    let opened = opened.map_err(|_| no(400, "cipher: message authentication failed"))?;
    Ok(Json(json!({ "data": { "plaintext": BASE64.encode(opened) } })))
}

async fn mac(
    State(all): State<Transit>,
    Path(key): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Answer {
    all.admit(&headers)?;
    let (version, secret) = all.version(&key, &body["key_version"])?;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), &bytes(&body, "input")?);
    Ok(Json(json!({ "data": { "hmac": format!("vault:v{version}:{}", BASE64.encode(tag)) } })))
}
