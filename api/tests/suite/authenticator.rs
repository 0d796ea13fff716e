//! A browser with an authenticator in it: what WebAuthn Level 3 says that both do, byte by byte, and whatever they must not.
//!
//! It signs with another library than the one that the server verifies with.
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::person::{PASSWORD, Person};
use crate::support::Answer;

/// Where the server says that it is.
pub const ORIGIN: &str = "https://cairn.example.org";

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const ATTESTED: u8 = 0x40;

/// A passkey as its device has it.
#[derive(Clone)]
pub struct Held {
    pub id: Vec<u8>,
    key: Arc<EcdsaKeyPair>,
    /// Base64url.
    user_handle: String,
    count: u32,
}

/// A device that holds one passkey at most, and counts.
#[derive(Clone)]
pub struct Device {
    pub held: Option<Held>,
    pub verifies: bool,
    /// The page that asks.
    pub origin: String,
}

impl Device {
    pub fn new() -> Self {
        Self { held: None, verifies: true, origin: ORIGIN.to_owned() }
    }

    /// `navigator.credentials.create`, without attestation.
    pub fn create(&mut self, options: &Value) -> Value {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let held = Held {
            id: cairn_api::system::random::<16>().unwrap().to_vec(),
            key: Arc::new(key),
            user_handle: options["user"]["id"].as_str().unwrap().to_owned(),
            count: 0,
        };
        let rp_id = options["rp"]["id"].as_str().unwrap();
        let mut data = self.authenticator_data(rp_id, ATTESTED, held.count);
        // No model is named (AAGUID), then the credential's id and its key in COSE.
        data.extend([0; 16]);
        data.extend(u16::try_from(held.id.len()).unwrap().to_be_bytes());
        data.extend(&held.id);
        let point = held.key.public_key().as_ref();
        data.extend([0xA5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(&point[1..33]);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(&point[33..]);
        // {"fmt": "none", "attStmt": {}, "authData": data} in CBOR.
        let mut object = b"\xA3\x63fmt\x64none\x67attStmt\xA0\x68authData\x58".to_vec();
        object.push(u8::try_from(data.len()).unwrap());
        object.extend(data);
        let response = json!({
            "clientDataJSON": encoded(&self.client_data("webauthn.create", options)),
            "attestationObject": encoded(&object),
            "transports": ["internal"],
        });
        let credential = credential(&held.id, response);
        self.held = Some(held);
        credential
    }

    /// `navigator.credentials.get`.
    pub fn get(&mut self, options: &Value) -> Value {
        let held = self.held.as_mut().unwrap();
        held.count += 1;
        let held = held.clone();
        let data = self.authenticator_data(options["rpId"].as_str().unwrap(), 0, held.count);
        let client = self.client_data("webauthn.get", options);
        let signed = [data.as_slice(), Sha256::digest(&client).as_slice()].concat();
        let signature = held.key.sign(&SystemRandom::new(), &signed).unwrap();
        let response = json!({
            "clientDataJSON": encoded(&client),
            "authenticatorData": encoded(&data),
            "signature": encoded(signature.as_ref()),
            "userHandle": held.user_handle,
        });
        credential(&held.id, response)
    }

    fn authenticator_data(&self, rp_id: &str, flags: u8, count: u32) -> Vec<u8> {
        let verified = if self.verifies { USER_VERIFIED } else { 0 };
        let mut data = Sha256::digest(rp_id).to_vec();
        data.push(USER_PRESENT | verified | flags);
        data.extend(count.to_be_bytes());
        data
    }

    fn client_data(&self, ceremony: &str, options: &Value) -> Vec<u8> {
        let (challenge, origin) = (options["challenge"].as_str().unwrap(), &self.origin);
        let text = format!(
            r#"{{"type":"{ceremony}","challenge":"{challenge}","origin":"{origin}","crossOrigin":false}}"#
        );
        text.into_bytes()
    }

    /// Adds a passkey of this device to an account.
    pub async fn added_to(&mut self, person: &Person, name: &str) -> String {
        let (options, attempt) = begun(person, ADD, &json!({ "password": PASSWORD })).await;
        let credential = self.create(&options);
        let wish = json!({ "name": name, "credential": credential });
        let added = within(person, &attempt).post("/v1/me/passkeys", &wish).await;
        assert_eq!(added.status, 201, "{}", added.body);
        added.text("/passkey_id")
    }

    /// Signs in whoever the passkey is of, at this server.
    pub async fn signs_in(&mut self, person: &mut Person) -> Answer {
        let (options, attempt) = begun(person, SIGN_IN, &json!({})).await;
        let credential = self.get(&options);
        let found = within(person, &attempt)
            .post(&format!("{SIGN_IN}/finish"), &json!({ "credential": credential }))
            .await;
        person.keep(&found);
        found
    }
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What `toJSON()` makes of it.
fn credential(id: &[u8], response: Value) -> Value {
    let id = encoded(id);
    json!({
        "id": id, "rawId": id, "type": "public-key", "response": response,
        "authenticatorAttachment": "platform", "clientExtensionResults": {},
    })
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
