//! A master key in the transit engine of Vault, or of OpenBao, which speaks the same: it never leaves there, and wraps and unwraps by HTTP.
//! The versions of the key are the versions here.
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::{Certificate, Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::cipher::derivation;
use crate::master::{MasterError, MasterKey, PlaceError, Version};

const SETTING: &str = "privacy.vault_url";
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the key is, and who asks.
#[derive(Clone)]
pub struct VaultConfig {
    /// `https://vault.example.org:8200/transit/cairn`: the server, where the engine is mounted, the key.
    pub url: String,
    /// The token of whoever may use the key.
    pub token: String,
    /// A file of certificates, in PEM, that vouch for the server beside the public ones.
    pub ca: Option<PathBuf>,
}

impl std::fmt::Debug for VaultConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("VaultConfig").field(&self.url).finish()
    }
}

/// A key of a transit engine.
#[derive(Clone)]
pub struct VaultTransit {
    http: Client,
    /// `…/v1/transit`
    engine: String,
    key: String,
    token: String,
    place: String,
}

impl std::fmt::Debug for VaultTransit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("VaultTransit").field(&self.place).finish()
    }
}

/// Server, mount and key of an address.
fn parted(address: &str) -> Result<(String, String, String), PlaceError> {
    let url = PlaceError::read(SETTING, address)?;
    let path = url.path().trim_matches('/');
    match path.rsplit_once('/') {
        Some((mount, key)) if !mount.is_empty() && !key.is_empty() => {
            Ok((url.origin().ascii_serialization(), mount.to_owned(), key.to_owned()))
        }
        _ => Err(PlaceError::new(
            SETTING,
            "the address names a mount and a key, such as https://vault.example.org:8200/transit/cairn",
        )),
    }
}

impl VaultTransit {
    /// Whether an address is one.
    ///
    /// # Errors
    /// Why it is none.
    pub fn check(address: &str) -> Result<(), PlaceError> {
        parted(address).map(drop)
    }

    /// At an address. Nobody is called yet.
    ///
    /// # Errors
    /// [`PlaceError`]: the address, the token or the certificates cannot be used.
    pub fn new(config: &VaultConfig) -> Result<Self, PlaceError> {
        let (server, mount, key) = parted(&config.url)?;
        if config.token.is_empty() || !config.token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let why = "the token is not one word of visible characters";
            return Err(PlaceError::new(SETTING, why));
        }
        let mut http =
            Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        if let Some(path) = &config.ca {
            let wrong = |error: &dyn std::fmt::Display| {
                PlaceError::new(SETTING, format!("{}: {error}", path.display()))
            };
            let pem = std::fs::read(path).map_err(|error| wrong(&error))?;
            for certificate in Certificate::from_pem_bundle(&pem).map_err(|error| wrong(&error))? {
                http = http.add_root_certificate(certificate);
            }
        }
        let http = http.build().map_err(|error| PlaceError::new(SETTING, error.to_string()))?;
        let place = format!("{server}/{mount}/{key}");
        let engine = format!("{server}/v1/{mount}");
        Ok(Self { http, engine, key, token: config.token.clone(), place })
    }

    fn failed(&self, message: impl Into<String>, transient: bool) -> MasterError {
        let (service, place) = ("Vault", self.place.clone());
        MasterError::Service { service, place, message: message.into(), transient }
    }

    /// Asks; `None` when there is no such thing.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Option<Value>, MasterError> {
        let request = self.http.request(method, format!("{}/{path}", self.engine));
        let request =
            request.header("X-Vault-Token", &self.token).header("X-Vault-Request", "true");
        let request = body.iter().fold(request, |request, body| request.json(body));
        // The error would tell the address once more.
        let response = request
            .send()
            .await
            .map_err(|error| self.failed(error.without_url().to_string(), true))?;
        let status = response.status();
        let text = response
            .text()
            .await
            .map_err(|error| self.failed(error.without_url().to_string(), true))?;
        let said: Value = serde_json::from_str(&text).unwrap_or_default();
        if status.is_success() {
            return Ok(Some(said));
        }
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let why: Vec<_> =
            said["errors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let transient = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        Err(self.failed(format!("{status}: {}", why.join("; ")), transient))
    }

    async fn post(&self, verb: &str, body: Value) -> Result<Value, MasterError> {
        let path = verb.replace("{key}", &self.key);
        let found = self.ask(Method::POST, &path, Some(body)).await?;
        found.ok_or_else(|| self.failed("there is no such key or engine", false))
    }

    /// A member of what was said.
    fn text(&self, said: &Value, member: &str) -> Result<String, MasterError> {
        let text = said["data"][member].as_str().map(str::to_owned);
        text.ok_or_else(|| self.failed(format!("the answer has no {member}"), false))
    }

    fn id(&self, version: u64) -> String {
        format!("vault:{}:v{version}", self.place)
    }

    /// The number in a version's name.
    fn version(&self, id: &str) -> Result<u64, MasterError> {
        let number = id.strip_prefix(&format!("vault:{}:v", self.place));
        let number = number.and_then(|number| number.parse().ok());
        number.ok_or_else(|| self.failed(format!("{id} is not a version of this key"), false))
    }

    /// The oldest version that opens, and the newest; `None` when there is no key yet.
    async fn range(&self) -> Result<Option<(u64, u64)>, MasterError> {
        let found = self.ask(Method::GET, &format!("keys/{}", self.key), None).await?;
        let Some(said) = found else { return Ok(None) };
        let number = |member: &str| {
            let number = said["data"][member].as_u64();
            number.ok_or_else(|| self.failed(format!("the answer has no {member}"), false))
        };
        let oldest =
            number("min_decryption_version")?.max(number("min_available_version").unwrap_or(0));
        Ok(Some((oldest.max(1), number("latest_version")?)))
    }

    /// What keys for other purposes are derived from: the engine's HMAC of one text.
    async fn derivation(&self, version: u64) -> Result<Version, MasterError> {
        let input = BASE64.encode("cairn derived keys");
        let said = self
            .post("hmac/{key}/sha2-256", json!({ "input": input, "key_version": version }))
            .await?;
        let hmac = self.text(&said, "hmac")?;
        let secret = hmac.rsplit(':').next().and_then(|digits| BASE64.decode(digits).ok());
        let secret = secret.filter(|secret| secret.len() == 32);
        let secret = secret.ok_or_else(|| self.failed("its HMAC is none", false))?;
        Ok(Version { id: self.id(version), derivation: derivation(&secret) })
    }
}

#[async_trait]
impl MasterKey for VaultTransit {
    fn place(&self) -> String {
        self.place.clone()
    }

    async fn versions(&self) -> Result<Vec<Version>, MasterError> {
        let Some((oldest, newest)) = self.range().await? else { return Ok(vec![]) };
        let mut versions = vec![];
        for version in (oldest..=newest).rev() {
            versions.push(self.derivation(version).await?);
        }
        Ok(versions)
    }

    async fn add(&self) -> Result<(), MasterError> {
        let is_new = self.range().await?.is_none();
        let verb = if is_new { "keys/{key}" } else { "keys/{key}/rotate" };
        let body = if is_new { json!({ "type": "aes256-gcm96" }) } else { json!({}) };
        self.post(verb, body).await.map(drop)
    }

    async fn keep_newest(&self) -> Result<(), MasterError> {
        let Some((_, newest)) = self.range().await? else { return Ok(()) };
        let least = json!({ "min_decryption_version": newest, "min_encryption_version": newest });
        self.post("keys/{key}/config", least).await.map(drop)
    }

    async fn wrap(&self, id: &str, purpose: &str, secret: &[u8]) -> Result<Vec<u8>, MasterError> {
        let body = json!({
            "plaintext": BASE64.encode(secret), "associated_data": BASE64.encode(purpose),
            "key_version": self.version(id)?,
        });
        let said = self.post("encrypt/{key}", body).await?;
        Ok(self.text(&said, "ciphertext")?.into_bytes())
    }

    async fn unwrap(
        &self,
        id: &str,
        purpose: &str,
        wrapped: &[u8],
    ) -> Result<Vec<u8>, MasterError> {
        self.version(id)?;
        let ciphertext =
            std::str::from_utf8(wrapped).map_err(|_| self.failed("this is none of its", false))?;
        let body = json!({ "ciphertext": ciphertext, "associated_data": BASE64.encode(purpose) });
        let said = self.post("decrypt/{key}", body).await?;
        let secret = BASE64.decode(self.text(&said, "plaintext")?);
        secret.map_err(|_| self.failed("the plaintext is not base64", false))
    }
}

#[cfg(test)]
mod tests {
    use super::{VaultConfig, VaultTransit, parted};

    #[test]
    fn an_address_names_a_server_a_mount_and_a_key_and_is_not_overheard() {
        let found = parted("https://vault.example.org:8200/team/transit/cairn").unwrap();
        let found = (&*found.0, &*found.1, &*found.2);
        assert_eq!(found, ("https://vault.example.org:8200", "team/transit", "cairn"));
        assert!(VaultTransit::check("http://127.0.0.1:8200/transit/cairn").is_ok());
        for wrong in [
            "vault.example.org/transit/cairn",
            "http://vault.example.org/transit/cairn",
            "https://vault.example.org/transit",
            "https://vault.example.org",
            "https://token@vault.example.org/transit/cairn",
            "https://vault.example.org/transit/cairn?token=x",
        ] {
            assert!(VaultTransit::check(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let url = "https://vault.example.org/transit/cairn".to_owned();
        let config = VaultConfig { url, token: "hvs.secret".to_owned(), ca: None };
        let shown = format!("{config:?} {:?}", VaultTransit::new(&config).unwrap());
        assert!(shown.contains("vault.example.org") && !shown.contains("hvs"), "{shown}");
        assert!(
            VaultTransit::new(&VaultConfig { token: "two words".to_owned(), ..config }).is_err()
        );
    }
}
