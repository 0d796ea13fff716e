//! A browser with an authenticator in it, which is a real one without the hardware.
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use passkey::authenticator::{Authenticator, UiHint, UserCheck, UserValidationMethod};
use passkey::client::{Client, DefaultClientData};
use passkey::crypto::rust_crypto::RustCryptoBackend;
use passkey::types::Passkey;
use passkey::types::ctap2::{Aaguid, Ctap2Error};
use passkey::types::webauthn::{CredentialCreationOptions, CredentialRequestOptions};
use serde_json::{Value, json};
use url::Url;

use crate::person::{PASSWORD, Person};
use crate::support::Answer;

/// Where the server says that it is.
pub const ORIGIN: &str = "https://cairn.example.org";

/// Whoever holds the device.
struct Holder {
    verifies: bool,
}

#[async_trait::async_trait]
impl UserValidationMethod for Holder {
    type PasskeyItem = Passkey;

    async fn check_user<'a>(
        &self,
        _: UiHint<'a, Passkey>,
        presence: bool,
        _: bool,
    ) -> Result<UserCheck, Ctap2Error> {
        Ok(UserCheck { presence, verification: self.verifies })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(self.verifies)
    }
}

/// A device that holds one passkey at most, and counts.
#[derive(Clone)]
pub struct Device {
    pub held: Option<Passkey>,
    pub verifies: bool,
    /// The page that asks.
    pub origin: String,
}

impl Device {
    pub fn new() -> Self {
        Self { held: None, verifies: true, origin: ORIGIN.to_owned() }
    }

    fn authenticator(&self) -> Authenticator<Option<Passkey>, Holder, RustCryptoBackend> {
        let holder = Holder { verifies: self.verifies };
        let made =
            Authenticator::new(Aaguid::new_empty(), self.held.clone(), holder, RustCryptoBackend);
        let mut made = made;
        made.set_make_credentials_with_signature_counter(true);
        made
    }

    /// `navigator.credentials.create`.
    pub async fn create(&mut self, options: &Value) -> Value {
        let wish: CredentialCreationOptions =
            serde_json::from_value(json!({ "publicKey": options })).unwrap();
        let mut client = Client::new(self.authenticator());
        let origin: Url = self.origin.parse().unwrap();
        let made = client.register(&origin, wish, DefaultClientData).await.unwrap();
        self.held.clone_from(client.authenticator().store());
        sent(serde_json::to_value(made).unwrap())
    }

    /// `navigator.credentials.get`.
    pub async fn get(&mut self, options: &Value) -> Value {
        let wish: CredentialRequestOptions =
            serde_json::from_value(json!({ "publicKey": options })).unwrap();
        let mut client = Client::new(self.authenticator());
        let origin: Url = self.origin.parse().unwrap();
        let shown = client.authenticate(&origin, wish, DefaultClientData).await.unwrap();
        self.held.clone_from(client.authenticator().store());
        sent(serde_json::to_value(shown).unwrap())
    }

    /// Adds a passkey of this device to an account.
    pub async fn added_to(&mut self, person: &Person, name: &str) -> String {
        let (options, attempt) = begun(person, ADD, &json!({ "password": PASSWORD })).await;
        let credential = self.create(&options).await;
        let wish = json!({ "name": name, "credential": credential });
        let added = within(person, &attempt).post("/v1/me/passkeys", &wish).await;
        assert_eq!(added.status, 201, "{}", added.body);
        added.text("/passkey_id")
    }

    /// Signs in whoever the passkey is of, at this server.
    pub async fn signs_in(&mut self, person: &mut Person) -> Answer {
        let (options, attempt) = begun(person, SIGN_IN, &json!({})).await;
        let credential = self.get(&options).await;
        let found = within(person, &attempt)
            .post(&format!("{SIGN_IN}/finish"), &json!({ "credential": credential }))
            .await;
        person.keep(&found);
        found
    }
}

/// What `toJSON()` makes of it: bytes as base64url.
fn sent(value: Value) -> Value {
    match value {
        Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_u64) => {
            let bytes = items.iter().filter_map(Value::as_u64).map(|byte| byte as u8);
            URL_SAFE_NO_PAD.encode(bytes.collect::<Vec<_>>()).into()
        }
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, sent(value))).collect()
        }
        other => other,
    }
}

pub const ADD: &str = "/v1/me/passkeys/begin";
pub const SIGN_IN: &str = "/v1/sign-in/passkey";

/// What a browser is asked for, and the cookie of the attempt.
pub async fn begun(person: &Person, path: &str, body: &Value) -> (Value, String) {
    let begun = person.post(path, body).await;
    assert_eq!(begun.status, 200, "{}", begun.body);
    let cookie = begun.header("set-cookie");
    for word in ["__Host-cairn-passkey=", "Secure", "HttpOnly", "SameSite=Strict", "Max-Age=300"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    (begun.body["options"].clone(), cookie.split(';').next().unwrap().to_owned())
}

/// The same browser with the cookie of an attempt.
pub fn within(person: &Person, attempt: &str) -> Person {
    let cookies = [person.cookie.as_str(), attempt];
    let cookie = cookies.into_iter().filter(|cookie| !cookie.is_empty()).collect::<Vec<_>>();
    Person { cookie: cookie.join("; "), ..person.clone() }
}

/// A member of an answer as bytes that somebody changed.
pub fn forged(answer: &Value, pointer: &str, change: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut answer = answer.clone();
    let member = answer.pointer_mut(pointer).unwrap();
    let mut bytes = URL_SAFE_NO_PAD.decode(member.as_str().unwrap()).unwrap();
    change(&mut bytes);
    *member = URL_SAFE_NO_PAD.encode(bytes).into();
    answer
}
