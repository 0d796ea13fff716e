//! Passkeys (WebAuthn Level 3): what a browser is asked for, and whether what it answers holds.
//!
//! The one file that names `webauthn_rp`. What is kept of a passkey is written in forms that stand in a standard, so that it can be checked
//! by any library later.
use std::fmt::Display;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cairn_core::UserId;
use cairn_identity::{Algorithm, Backup, Passkey, PasskeyShown};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::{Host, Url};
use webauthn_rp::bin::{Decode as _, Encode as _};
use webauthn_rp::request::auth::{
    AuthenticationVerificationOptions, DiscoverableCredentialRequestOptions,
};
use webauthn_rp::request::register::{
    Nickname, PublicKeyCredentialUserEntity, RegistrationVerificationOptions, UserHandle16,
    Username,
};
use webauthn_rp::request::{AsciiDomain, PublicKeyCredentialDescriptor, RpId};
use webauthn_rp::response::register::{
    AuthenticatorExtensionOutputStaticState, CompressedP256PubKey, CompressedP384PubKey,
    CompressedPubKey, CredentialProtectionPolicy, DynamicState, Ed25519PubKey, RsaPubKey,
    StaticState, UncompressedPubKey,
};
use webauthn_rp::response::{
    AuthTransports, AuthenticatorAttachment, Backup as BackupFlags, CredentialId,
};
use webauthn_rp::{
    AuthenticatedCredential, DiscoverableAuthentication16, DiscoverableAuthenticationServerState,
    PublicKeyCredentialCreationOptions, Registration, RegistrationServerState,
};

use crate::problem::Problem;

/// Seconds that somebody has for it: what the options tell the browser as well.
pub const ATTEMPT_SECONDS: i32 = 300;

/// A key as it was kept, borrowed.
type KeyParts<'a> = CompressedPubKey<&'a [u8], &'a [u8], &'a [u8], &'a [u8]>;

/// For whom passkeys are made: a domain, and the pages that may ask for them.
#[derive(Debug)]
pub struct RelyingParty {
    id: RpId,
    origins: Vec<String>,
}

/// Something that a browser is to answer.
#[derive(Debug)]
pub struct Asked {
    /// `PublicKeyCredentialCreationOptionsJSON` or `PublicKeyCredentialRequestOptionsJSON`.
    pub options: Value,
    /// What its answer is held against; to be kept for [`ATTEMPT_SECONDS`] and used once.
    pub kept: String,
}

/// Whoever is to have a passkey.
#[derive(Debug, Clone)]
pub struct Holder {
    /// Who; their id is what the authenticator knows them by.
    pub user_id: UserId,
    /// Their address, which the authenticator shows.
    pub email: String,
    /// What they are called.
    pub name: String,
}

/// A passkey as it was kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// `ES256`, `ES384`, `EdDSA` or `RS256`.
    pub algorithm: String,
    /// Base64url, in the form that [`Passkey`] says.
    pub public_key: String,
    /// `not_eligible`, `eligible` or `exists`.
    pub backup: String,
}

/// The answer of an authenticator that says who is there. Nothing of it was checked yet.
#[derive(Debug)]
pub struct Assertion(DiscoverableAuthentication16);

impl RelyingParty {
    /// Of a server that is reached by this address, and whose pages may also have those origins.
    ///
    /// # Errors
    /// `passkeys_unavailable` when browsers make no passkeys there: it has no name, or is not reached by TLS.
    pub fn of<'a>(
        public_url: &str,
        pages: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, Problem> {
        let url = Url::parse(public_url).ok();
        let (domain, own) = url.as_ref().and_then(trusted).ok_or_else(|| {
            let detail = format!(
                "passkeys need a server.public_url with a name, and https unless it is localhost; it is {public_url}"
            );
            Problem::new("passkeys_unavailable", detail)
        })?;
        let within = |page: &&str| {
            let page = Url::parse(page).ok();
            let page = page.as_ref().and_then(trusted).map(|(host, _)| host);
            page.is_some_and(|host| host == domain || host.ends_with(&format!(".{domain}")))
        };
        let others = pages.into_iter().filter(within).map(str::to_owned);
        let origins = [own].into_iter().chain(others).collect();
        let id = AsciiDomain::try_from(domain).map_err(|error| internal(&error))?;
        Ok(Self { id: RpId::Domain(id), origins })
    }

    /// Asks for a new passkey, on none of the authenticators that have one of these (base64url).
    ///
    /// # Errors
    /// When there is no randomness, or a known one is none.
    pub fn ask_for_new(&self, holder: &Holder, known: &[String]) -> Result<Asked, Problem> {
        let handle = handle(holder.user_id)?;
        // An address may have letters that no name of the standard has; it only helps to choose.
        let name = Username::try_from(holder.email.as_str());
        let nobody = || Username::try_from(holder.user_id.to_string());
        let user = PublicKeyCredentialUserEntity {
            name: name.or_else(|_| nobody()).map_err(|error| internal(&error))?,
            id: &handle,
            display_name: Nickname::try_from(holder.name.as_str()).ok(),
        };
        let known = known.iter().map(|id| descriptor(id)).collect::<Result<_, _>>()?;
        let options = PublicKeyCredentialCreationOptions::passkey(&self.id, user, known);
        let (server, client) = options.start_ceremony().map_err(|error| internal(&error))?;
        let kept = server.encode().map_err(|error| internal(&error))?;
        asked(serde_json::to_value(&client), &kept)
    }

    /// The passkey that an answer brings (`RegistrationResponseJSON`), if it holds.
    ///
    /// # Errors
    /// `passkey_refused`.
    pub fn made(&self, kept: &str, answer: &Value, name: String) -> Result<Passkey, Problem> {
        let kept = RegistrationServerState::<16>::decode(&bytes(kept)?);
        let state = kept.map_err(|error| internal(&error))?;
        let answer = Registration::from_json_relaxed(answer.to_string().as_bytes());
        let answer = answer.map_err(|error| refused(&error))?;
        let options = RegistrationVerificationOptions::<String, String> {
            allowed_origins: &self.origins,
            // What nobody asked for is left alone (WebAuthn Level 3, 7.1, step 27).
            error_on_unsolicited_extensions: false,
            ..RegistrationVerificationOptions::default()
        };
        let made = state.verify(&self.id, &answer, &options).map_err(|error| refused(&error))?;
        let (algorithm, key) = written(made.static_state().credential_public_key);
        let id = made.id();
        Ok(Passkey {
            credential_sha256: sha256(id.as_ref()),
            credential_id: URL_SAFE_NO_PAD.encode(id.as_ref()),
            algorithm,
            public_key: URL_SAFE_NO_PAD.encode(key),
            sign_count: made.dynamic_state().sign_count,
            backup: backup(made.dynamic_state().backup),
            name,
        })
    }

    /// Asks for any passkey of this server, of whoever is there.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn ask_for_any(&self) -> Result<Asked, Problem> {
        let options = DiscoverableCredentialRequestOptions::passkey(&self.id);
        let (server, client) = options.start_ceremony().map_err(|error| internal(&error))?;
        let kept = server.encode().map_err(|error| internal(&error))?;
        asked(serde_json::to_value(&client), &kept)
    }

    /// What was shown, if the answer is of the passkey that was kept, and holds. Whether its count goes forwards, its person's stream
    /// decides.
    ///
    /// # Errors
    /// `passkey_refused`.
    pub fn shown(
        &self,
        kept: &str,
        assertion: &Assertion,
        known: &Kept,
    ) -> Result<PasskeyShown, Problem> {
        let kept = DiscoverableAuthenticationServerState::decode(&bytes(kept)?);
        let state = kept.map_err(|error| internal(&error))?;
        let Assertion(answer) = assertion;
        let key = bytes(&known.public_key)?;
        let unreadable = || Problem::internal("a passkey that was kept cannot be read");
        let credential_public_key = read(&known.algorithm, &key).ok_or_else(unreadable)?;
        let extensions = AuthenticatorExtensionOutputStaticState {
            cred_protect: CredentialProtectionPolicy::None,
            hmac_secret: None,
        };
        let known_state = DynamicState {
            user_verified: true,
            backup: flags(&known.backup).ok_or_else(unreadable)?,
            // Of none that was known, any count is taken over as it is.
            sign_count: 0,
            authenticator_attachment: AuthenticatorAttachment::None,
        };
        let mut credential = AuthenticatedCredential::new(
            answer.raw_id(),
            answer.response().user_handle(),
            StaticState { credential_public_key, extensions },
            known_state,
        )
        .map_err(|error| internal(&error))?;
        let options = AuthenticationVerificationOptions::<String, String> {
            allowed_origins: &self.origins,
            error_on_unsolicited_extensions: false,
            ..AuthenticationVerificationOptions::default()
        };
        let held = state.verify(&self.id, answer, &mut credential, &options);
        held.map_err(|error| refused(&error))?;
        let now = credential.dynamic_state();
        Ok(PasskeyShown {
            credential_sha256: assertion.credential_sha256(),
            sign_count: now.sign_count,
            backup: backup(now.backup),
        })
    }
}

impl Assertion {
    /// Reads an answer (`AuthenticationResponseJSON`).
    ///
    /// # Errors
    /// `passkey_refused` when it is none, or does not say whose it is.
    pub fn read(answer: &Value) -> Result<Self, Problem> {
        let text = answer.to_string();
        let read = DiscoverableAuthentication16::from_json_relaxed(text.as_bytes());
        read.map(Self).map_err(|error| refused(&error))
    }

    /// Which passkey it claims to be of.
    #[must_use]
    pub fn credential_sha256(&self) -> String {
        sha256(self.0.raw_id().as_ref())
    }

    /// Whose it claims to be.
    #[must_use]
    pub fn user_id(&self) -> Option<UserId> {
        let handle: [u8; 16] = self.0.response().user_handle().as_ref().try_into().ok()?;
        Some(UserId::from_bits(u128::from_be_bytes(handle)))
    }
}

/// The name and the origin of an address where browsers make passkeys.
fn trusted(url: &Url) -> Option<(String, String)> {
    let Some(Host::Domain(domain)) = url.host() else { return None };
    let local = domain == "localhost" || domain.ends_with(".localhost");
    let secure = url.scheme() == "https" || (url.scheme() == "http" && local);
    secure.then(|| (domain.to_owned(), url.origin().ascii_serialization()))
}

fn handle(user_id: UserId) -> Result<UserHandle16, Problem> {
    UserHandle16::decode(user_id.bits().to_be_bytes()).map_err(|error| internal(&error))
}

fn descriptor(id: &str) -> Result<PublicKeyCredentialDescriptor<Vec<u8>>, Problem> {
    let id = CredentialId::<Vec<u8>>::decode(bytes(id)?).map_err(|error| internal(&error))?;
    let transports = AuthTransports::decode(0).map_err(|error| internal(&error))?;
    Ok(PublicKeyCredentialDescriptor { id, transports })
}

fn asked(options: serde_json::Result<Value>, kept: &[u8]) -> Result<Asked, Problem> {
    let options = options.map_err(|error| internal(&error))?;
    Ok(Asked { options, kept: URL_SAFE_NO_PAD.encode(kept) })
}

fn bytes(text: &str) -> Result<Vec<u8>, Problem> {
    URL_SAFE_NO_PAD.decode(text).map_err(|error| internal(&error))
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn internal(error: &dyn Display) -> Problem {
    Problem::internal(&error.to_string())
}

fn refused(error: &dyn Display) -> Problem {
    Problem::new("passkey_refused", format!("the authenticator's answer does not hold: {error}"))
}

const fn backup(flags: BackupFlags) -> Backup {
    match flags {
        BackupFlags::NotEligible => Backup::NotEligible,
        BackupFlags::Eligible => Backup::Eligible,
        BackupFlags::Exists => Backup::Exists,
    }
}

fn flags(backup: &str) -> Option<BackupFlags> {
    match backup {
        "not_eligible" => Some(BackupFlags::NotEligible),
        "eligible" => Some(BackupFlags::Eligible),
        "exists" => Some(BackupFlags::Exists),
        _ => None,
    }
}

/// A public key as it is kept.
fn written(key: UncompressedPubKey<'_>) -> (Algorithm, Vec<u8>) {
    match key {
        UncompressedPubKey::Ed25519(key) => (Algorithm::EdDsa, key.into_inner().to_vec()),
        UncompressedPubKey::P256(key) => (Algorithm::Es256, compressed(key.x(), key.y())),
        UncompressedPubKey::P384(key) => (Algorithm::Es384, compressed(key.x(), key.y())),
        UncompressedPubKey::Rsa(key) => {
            let (modulus, exponent) = key.into_parts();
            (Algorithm::Rs256, [&exponent.to_be_bytes(), modulus].concat())
        }
    }
}

/// SEC 1, 2.3.3.
fn compressed(x: &[u8], y: &[u8]) -> Vec<u8> {
    let is_odd = y.last().is_some_and(|byte| byte & 1 == 1);
    [&[if is_odd { 3 } else { 2 }], x].concat()
}

fn read<'a>(algorithm: &str, key: &'a [u8]) -> Option<KeyParts<'a>> {
    let point = || match key.split_first()? {
        (2, x) => Some((x, false)),
        (3, x) => Some((x, true)),
        _ => None,
    };
    Some(match algorithm {
        "EdDSA" => CompressedPubKey::Ed25519(Ed25519PubKey::try_from(key).ok()?),
        "ES256" => CompressedPubKey::P256(CompressedP256PubKey::try_from(point()?).ok()?),
        "ES384" => CompressedPubKey::P384(CompressedP384PubKey::try_from(point()?).ok()?),
        "RS256" => {
            let (exponent, modulus) = key.split_first_chunk::<4>()?;
            let parts = (modulus, u32::from_be_bytes(*exponent));
            CompressedPubKey::Rsa(RsaPubKey::try_from(parts).ok()?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{RelyingParty, read};

    #[test]
    fn passkeys_are_for_a_name_that_is_reached_by_tls() {
        let of = |url| RelyingParty::of(url, []).map(|party| (party.id.into(), party.origins));
        let known = |url| -> (String, Vec<String>) { of(url).unwrap() };
        assert_eq!(
            known("https://cairn.example.org/"),
            ("cairn.example.org".to_owned(), vec!["https://cairn.example.org".to_owned()])
        );
        assert_eq!(known("http://localhost:8080").1, ["http://localhost:8080"]);
        for wrong in ["http://cairn.example.org", "http://127.0.0.1:8080", "https://[::1]", "x"] {
            assert_eq!(of(wrong).unwrap_err().code.name, "passkeys_unavailable", "{wrong}");
        }
    }

    #[test]
    fn only_pages_below_the_name_may_ask() {
        let pages = [
            "https://console.cairn.example.org",
            "https://evilcairn.example.org",
            "https://example.org",
            "http://plain.cairn.example.org",
        ];
        let party = RelyingParty::of("https://cairn.example.org", pages).unwrap();
        assert_eq!(party.origins, ["https://cairn.example.org", pages[0]]);
    }

    #[test]
    fn a_key_that_is_none_is_not_read() {
        let point = [vec![2], vec![7; 32]].concat();
        assert!(read("ES256", &point).is_some());
        for (algorithm, key) in [
            ("ES256", &point[1..]),
            ("ES256", &point[..32]),
            ("ES384", &point[..]),
            ("EdDSA", &point[..]),
            ("RS256", &point[..3]),
            ("none", &point[..]),
        ] {
            assert!(read(algorithm, key).is_none(), "{algorithm}");
        }
    }
}
