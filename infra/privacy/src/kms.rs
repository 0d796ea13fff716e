//! A master key in the key management service of AWS, or of what speaks the same: it never leaves there, and wraps and unwraps by HTTP.
//!
//! A version is two of its keys, found by their aliases: `<alias>-v3` wraps, and `<alias>-v3-mac`, an HMAC, is what marks are derived from.
//! The latter is made last, so a version is whole where it is there. A version that is taken away waits 30 days for its deletion.
use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use object_store::aws::{AmazonS3Builder, AwsAuthorizer, AwsCredentialProvider};
use object_store::client::HttpRequest;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Method, Url};
use serde_json::{Value, json};

use crate::cipher::derivation;
use crate::master::{MasterError, MasterKey, PlaceError, Version};

const SETTING: &str = "privacy.kms_url";
const PATIENCE: Duration = Duration::from_secs(10);
/// Days in which a deletion can be taken back, the most that the service offers.
const DELETED_AFTER_DAYS: u8 = 30;
const MAC: &str = "-mac";
/// What passes by itself, although the service calls it the caller's fault.
const TRANSIENT: [&str; 3] =
    ["ThrottlingException", "DependencyTimeoutException", "KeyUnavailableException"];

/// Where the key is, and who asks.
#[derive(Clone)]
pub struct KmsConfig {
    /// `https://kms.eu-central-1.amazonaws.com/alias/cairn`: the endpoint and the alias that the versions begin with.
    pub url: String,
    /// What the environment says of AWS, by the names that its own tools read: who asks, and the region where the endpoint does not tell.
    pub environment: Vec<(String, String)>,
}

impl std::fmt::Debug for KmsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("KmsConfig").field(&self.url).finish()
    }
}

/// A master key in a key management service.
#[derive(Clone)]
pub struct AwsKms {
    http: Client,
    endpoint: Url,
    region: String,
    alias: String,
    credentials: AwsCredentialProvider,
    place: String,
}

impl std::fmt::Debug for AwsKms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AwsKms").field(&self.place).finish()
    }
}

/// What there is of one version: the ids of the key that wraps and of the one that is an HMAC.
#[derive(Debug, Default)]
struct Pair {
    wraps: Option<String>,
    mac: Option<String>,
}

/// Endpoint and alias of an address.
fn parted(address: &str) -> Result<(Url, String), PlaceError> {
    let mut url = PlaceError::read(SETTING, address)?;
    let alias = url.path().trim_matches('/').to_owned();
    let name = alias.strip_prefix("alias/").unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte);
    if name.is_empty() || name.starts_with("aws/") || !name.bytes().all(is_plain) {
        let why = "the address names an alias of yours, such as https://kms.eu-central-1.amazonaws.com/alias/cairn";
        return Err(PlaceError::new(SETTING, why));
    }
    url.set_path("/");
    Ok((url, alias))
}

/// `kms.eu-central-1.amazonaws.com`, also with `-fips`, of China, or of a private network.
fn region_of(endpoint: &Url) -> Option<&str> {
    let mut labels = endpoint.host_str()?.split('.');
    labels.by_ref().find(|label| matches!(*label, "kms" | "kms-fips"))?;
    let region = labels.next()?;
    labels.any(|label| label == "amazonaws").then_some(region)
}

impl AwsKms {
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
    /// [`PlaceError`]: the address or the credentials cannot be used, or nothing says the region.
    pub fn new(config: &KmsConfig) -> Result<Self, PlaceError> {
        let wrong = |why: String| PlaceError::new(SETTING, why);
        let (endpoint, alias) = parted(&config.url)?;
        let said = |name: &str| {
            let said = config.environment.iter().find(|(known, _)| known == name);
            said.map(|(_, value)| value.as_str())
        };
        let region = region_of(&endpoint).or_else(|| said("AWS_REGION"));
        let region = region.or_else(|| said("AWS_DEFAULT_REGION")).map(str::to_owned);
        let region = region.ok_or_else(|| {
            wrong("neither the endpoint nor object_store.aws_region says the region".to_owned())
        })?;
        let of_objects = |name: &str| {
            name.starts_with("AWS_ENDPOINT") && name != "AWS_ENDPOINT_URL_STS"
                || name == "AWS_SKIP_SIGNATURE"
        };
        // The store's own builder knows every way in which a machine is given credentials; no object is ever asked for.
        let mut builder = AmazonS3Builder::new().with_bucket_name("none").with_region(&region);
        for (name, value) in config.environment.iter().filter(|(name, _)| !of_objects(name)) {
            if let Ok(key) = name.to_ascii_lowercase().parse() {
                builder = builder.with_config(key, value);
            }
        }
        let store = builder.build().map_err(|error| wrong(error.to_string()))?;
        let http = Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        let http = http.build().map_err(|error| wrong(error.to_string()))?;
        let place = format!("{}{alias}", endpoint.as_str());
        let credentials = store.credentials().clone();
        Ok(Self { http, endpoint, region, alias, credentials, place })
    }

    fn failed(&self, message: impl Into<String>, transient: bool) -> MasterError {
        let (service, place) = ("KMS", self.place.clone());
        MasterError::Service { service, place, message: message.into(), transient }
    }

    /// Signed as AWS asks for it (Signature Version 4).
    async fn signed(&self, action: &str, body: &Value) -> Result<HttpRequest, MasterError> {
        let wrong = |error: &dyn std::fmt::Display| self.failed(error.to_string(), false);
        let body = body.to_string().into_bytes();
        let hash = digest(&SHA256, &body);
        let mut request = HttpRequest::new(body.into());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.as_str().parse().map_err(|error| wrong(&error))?;
        let target = format!("TrentService.{action}").parse().map_err(|error| wrong(&error))?;
        request.headers_mut().insert("x-amz-target", target);
        let kind = HeaderValue::from_static("application/x-amz-json-1.1");
        request.headers_mut().insert(CONTENT_TYPE, kind);
        let asks = self.credentials.get_credential().await;
        let asks = asks.map_err(|error| self.failed(error.to_string(), true))?;
        let authorizer = AwsAuthorizer::new(&asks, "kms", &self.region);
        let done = authorizer.try_authorize(&mut request, Some(hash.as_ref()));
        done.map_err(|error| wrong(&error))?;
        Ok(request)
    }

    /// Asks; the inner error is what the service calls a refusal.
    async fn ask(
        &self,
        action: &str,
        body: Value,
    ) -> Result<Result<Value, (String, MasterError)>, MasterError> {
        let request = self.signed(action, &body).await?;
        // The error would tell the address once more.
        let gone = |error: reqwest::Error| self.failed(error.without_url().to_string(), true);
        let headers = request.headers().clone();
        let call = self.http.post(self.endpoint.clone()).headers(headers).body(body.to_string());
        let response = call.send().await.map_err(gone)?;
        let status = response.status();
        let text = response.text().await.map_err(gone)?;
        let said: Value = serde_json::from_str(&text).unwrap_or_default();
        if status.is_success() {
            return Ok(Ok(said));
        }
        let kind = said["__type"].as_str().unwrap_or_default();
        let kind = kind.rsplit('#').next().unwrap_or_default().to_owned();
        let why = ["message", "Message"].iter().find_map(|member| said[*member].as_str());
        let transient = status.is_server_error() || TRANSIENT.contains(&kind.as_str());
        let message = format!("{action}: {status} {kind} {}", why.unwrap_or_default());
        Ok(Err((kind, self.failed(message.trim_end(), transient))))
    }

    async fn done(&self, action: &str, body: Value) -> Result<Value, MasterError> {
        self.ask(action, body).await?.map_err(|(_, error)| error)
    }

    /// A member that is base64.
    fn bytes(&self, said: &Value, member: &str) -> Result<Vec<u8>, MasterError> {
        let bytes = said[member].as_str().and_then(|text| BASE64.decode(text).ok());
        bytes.ok_or_else(|| self.failed(format!("the answer has no {member}"), false))
    }

    /// The alias of a version.
    fn named(&self, version: u64) -> String {
        format!("{}-v{version}", self.alias)
    }

    fn id(&self, version: u64) -> String {
        format!("kms:{}:v{version}", self.place)
    }

    /// The number in a version's name.
    fn version(&self, id: &str) -> Result<u64, MasterError> {
        let number = id.strip_prefix(&format!("kms:{}:v", self.place));
        let number = number.and_then(|number| number.parse().ok());
        number.ok_or_else(|| self.failed(format!("{id} is not a version of this key"), false))
    }

    /// Whatever has an alias of ours, by version.
    async fn pairs(&self) -> Result<BTreeMap<u64, Pair>, MasterError> {
        let mut pairs: BTreeMap<u64, Pair> = BTreeMap::new();
        let mut body = json!({ "Limit": 100 });
        loop {
            let said = self.done("ListAliases", body).await?;
            for alias in said["Aliases"].as_array().into_iter().flatten() {
                let name = alias["AliasName"].as_str().unwrap_or_default();
                let Some(rest) = name.strip_prefix(&format!("{}-v", self.alias)) else { continue };
                let (number, mac) = match rest.strip_suffix(MAC) {
                    Some(number) => (number, true),
                    None => (rest, false),
                };
                let Ok(version) = number.parse() else { continue };
                let pair = pairs.entry(version).or_default();
                let place = if mac { &mut pair.mac } else { &mut pair.wraps };
                *place = alias["TargetKeyId"].as_str().map(str::to_owned);
            }
            if said["Truncated"].as_bool() != Some(true) {
                return Ok(pairs);
            }
            body = json!({ "Limit": 100, "Marker": said["NextMarker"] });
        }
    }

    /// What keys for other purposes are derived from: the HMAC of one text. `None`: its keys wait for their deletion.
    async fn derivation(&self, version: u64) -> Result<Option<Version>, MasterError> {
        let body = json!({
            "KeyId": format!("{}{MAC}", self.named(version)), "MacAlgorithm": "HMAC_SHA_256",
            "Message": BASE64.encode("cairn derived keys"),
        });
        match self.ask("GenerateMac", body).await? {
            Ok(said) => {
                let derivation = derivation(&self.bytes(&said, "Mac")?);
                Ok(Some(Version { id: self.id(version), derivation }))
            }
            Err((kind, _)) if kind == "KMSInvalidStateException" => Ok(None),
            Err((_, error)) => Err(error),
        }
    }

    async fn create(&self, alias: &str, kind: Value) -> Result<(), MasterError> {
        let said = self.done("CreateKey", kind).await?;
        let id = said["KeyMetadata"]["KeyId"].as_str();
        let id = id.ok_or_else(|| self.failed("the answer has no KeyId", false))?;
        let named = json!({ "AliasName": alias, "TargetKeyId": id });
        if let Err(error) = self.done("CreateAlias", named).await {
            // Without its name nobody would ever find it again.
            self.delete(id).await?;
            return Err(error);
        }
        Ok(())
    }

    async fn delete(&self, id: &str) -> Result<(), MasterError> {
        let body = json!({ "KeyId": id, "PendingWindowInDays": DELETED_AFTER_DAYS });
        match self.ask("ScheduleKeyDeletion", body).await? {
            Ok(_) => Ok(()),
            // It was asked for before.
            Err((kind, _)) if kind == "KMSInvalidStateException" => Ok(()),
            Err((_, error)) => Err(error),
        }
    }
}

#[async_trait]
impl MasterKey for AwsKms {
    fn place(&self) -> String {
        self.place.clone()
    }

    async fn versions(&self) -> Result<Vec<Version>, MasterError> {
        let mut versions = vec![];
        for (version, pair) in self.pairs().await?.into_iter().rev() {
            if pair.wraps.is_some() && pair.mac.is_some() {
                versions.extend(self.derivation(version).await?);
            }
        }
        Ok(versions)
    }

    async fn add(&self) -> Result<(), MasterError> {
        let newest = self.pairs().await?.into_keys().next_back().unwrap_or(0);
        let alias = self.named(newest + 1);
        let wraps = json!({ "KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT" });
        self.create(&alias, wraps).await?;
        let mac = json!({ "KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC" });
        self.create(&format!("{alias}{MAC}"), mac).await
    }

    async fn keep_newest(&self) -> Result<(), MasterError> {
        let pairs = self.pairs().await?;
        let whole = |pair: &Pair| pair.wraps.is_some() && pair.mac.is_some();
        let Some(newest) = pairs.iter().rev().find(|(_, pair)| whole(pair)) else { return Ok(()) };
        let newest = *newest.0;
        for (version, pair) in pairs.iter().filter(|(version, _)| **version != newest) {
            let alias = self.named(*version);
            // The names go last: by them whoever was interrupted finds what is left.
            for id in [&pair.wraps, &pair.mac].into_iter().flatten() {
                self.delete(id).await?;
            }
            let wraps = pair.wraps.as_ref().map(|_| alias.clone());
            let mac = pair.mac.as_ref().map(|_| format!("{alias}{MAC}"));
            for alias in [wraps, mac].into_iter().flatten() {
                self.done("DeleteAlias", json!({ "AliasName": alias })).await?;
            }
        }
        Ok(())
    }

    async fn wrap(&self, id: &str, purpose: &str, secret: &[u8]) -> Result<Vec<u8>, MasterError> {
        let body = json!({
            "KeyId": self.named(self.version(id)?), "Plaintext": BASE64.encode(secret),
            "EncryptionContext": { "purpose": purpose },
        });
        let said = self.done("Encrypt", body).await?;
        self.bytes(&said, "CiphertextBlob")
    }

    async fn unwrap(
        &self,
        id: &str,
        purpose: &str,
        wrapped: &[u8],
    ) -> Result<Vec<u8>, MasterError> {
        let body = json!({
            "KeyId": self.named(self.version(id)?), "CiphertextBlob": BASE64.encode(wrapped),
            "EncryptionContext": { "purpose": purpose },
        });
        let said = self.done("Decrypt", body).await?;
        self.bytes(&said, "Plaintext")
    }
}

#[cfg(test)]
mod tests {
    use super::{AwsKms, KmsConfig, parted, region_of};

    fn config(url: &str, environment: &[(&str, &str)]) -> KmsConfig {
        let said =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        KmsConfig { url: url.to_owned(), environment: said.collect() }
    }

    #[test]
    fn an_address_names_an_endpoint_and_an_alias_and_is_not_overheard() {
        let (endpoint, alias) =
            parted("https://kms.eu-central-1.amazonaws.com/alias/team/cairn").unwrap();
        assert_eq!(endpoint.as_str(), "https://kms.eu-central-1.amazonaws.com/");
        assert_eq!(alias, "alias/team/cairn");
        assert!(AwsKms::check("http://127.0.0.1:5000/alias/cairn").is_ok());
        for wrong in [
            "kms.eu-central-1.amazonaws.com/alias/cairn",
            "http://kms.eu-central-1.amazonaws.com/alias/cairn",
            "https://kms.eu-central-1.amazonaws.com/cairn",
            "https://kms.eu-central-1.amazonaws.com/alias/aws/s3",
            "https://kms.eu-central-1.amazonaws.com/alias/",
            "https://key:secret@kms.eu-central-1.amazonaws.com/alias/cairn",
            "https://kms.eu-central-1.amazonaws.com/alias/cairn?secret=x",
        ] {
            assert!(AwsKms::check(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_endpoint_tells_the_region_or_the_environment_does() {
        let region = |host: &str| {
            let (endpoint, _) = parted(&format!("https://{host}/alias/cairn")).unwrap();
            region_of(&endpoint).map(str::to_owned)
        };
        for host in [
            "kms.eu-west-3.amazonaws.com",
            "kms-fips.eu-west-3.amazonaws.com",
            "kms.eu-west-3.amazonaws.com.cn",
            "vpce-0123.kms.eu-west-3.vpce.amazonaws.com",
        ] {
            assert_eq!(region(host).as_deref(), Some("eu-west-3"), "{host}");
        }
        assert_eq!(region("kms.example.org"), None);
        let url = "https://kms.example.org/alias/cairn";
        let error = AwsKms::new(&config(url, &[])).unwrap_err();
        assert!(error.to_string().contains("region"), "{error}");
        assert!(AwsKms::new(&config(url, &[("AWS_REGION", "eu-west-3")])).is_ok());
    }

    #[test]
    fn credentials_are_not_shown() {
        let url = "https://kms.eu-west-3.amazonaws.com/alias/cairn";
        let said = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "hush")];
        let config = config(url, &said);
        let shown = format!("{config:?} {:?}", AwsKms::new(&config).unwrap());
        assert!(shown.contains("alias/cairn") && !shown.contains("hush"), "{shown}");
    }
}
