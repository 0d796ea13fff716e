//! One provider: where it sends browsers, and what is believed of what it says.
use std::fmt;
use std::sync::Arc;

use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreIdToken, CoreIdTokenClaims, CoreJwsSigningAlgorithm,
    CoreProviderMetadata, CoreTokenResponse, CoreUserInfoClaims,
};
use openidconnect::{
    AccessTokenHash, AuthenticationContextClass, AuthorizationCode, ClaimsVerificationError,
    ClientId, ClientSecret, CsrfToken, DiscoveryError, EmptyAdditionalClaims, EndUserName,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl, LocalizedClaim, Nonce,
    OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError,
    Scope, SignatureVerificationError, StandardClaims, TokenResponse as _, UserInfoError,
};
use tokio::sync::Mutex;

use crate::http::{self, Http, HttpError};
use crate::{Attempt, Identity, OidcError, ProviderConfig};

/// Signatures that only who holds the provider's private key can make.
const SIGNED: [CoreJwsSigningAlgorithm; 8] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
];

/// More than one factor, among the methods of an authentication (RFC 8176).
const MULTI_FACTOR: &str = "mfa";

/// A client whose metadata is known.
type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A provider. Its metadata is asked for when it is first needed, and remembered.
pub struct Provider {
    config: ProviderConfig,
    issuer: IssuerUrl,
    redirect: RedirectUrl,
    http: Http,
    known: Mutex<Option<Arc<CoreProviderMetadata>>>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)
    }
}

impl Provider {
    /// Of a configuration. `redirect` is where it sends browsers back to, exactly as the provider has it registered.
    ///
    /// # Errors
    /// `Misconfigured`.
    pub fn try_new(config: ProviderConfig, redirect: &str) -> Result<Self, OidcError> {
        let wrong = |what: &str, text: &str| {
            OidcError::Misconfigured(format!("{what} {text} is no address"))
        };
        let issuer = IssuerUrl::new(config.issuer.clone());
        let issuer = issuer.map_err(|_| wrong("the issuer", &config.issuer))?;
        let redirect = RedirectUrl::new(redirect.to_owned()).map_err(|_| wrong("", redirect))?;
        http::admissible(issuer.url())
            .map_err(|error| OidcError::Misconfigured(error.to_string()))?;
        let http = Http::try_new().map_err(|error| OidcError::Misconfigured(error.to_string()))?;
        Ok(Self { config, issuer, redirect, http, known: Mutex::new(None) })
    }

    /// Its name in our addresses.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Its issuer identifier.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.config.issuer
    }

    /// Where to send a browser.
    ///
    /// # Errors
    /// `Unavailable`, `Untrusted`.
    pub async fn authorize(&self, attempt: &Attempt) -> Result<String, OidcError> {
        let client = self.client(&*self.metadata(None).await?);
        let verifier = PkceCodeVerifier::new(attempt.verifier.clone());
        let (state, nonce) = (attempt.state.clone(), attempt.nonce.clone());
        let request = client.authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            move || CsrfToken::new(state),
            move || Nonce::new(nonce),
        );
        let wanted = self.config.multi_factor_acr.iter().cloned();
        let request = wanted
            .map(AuthenticationContextClass::new)
            .fold(request, |request, class| request.add_auth_context_value(class))
            .add_scope(Scope::new("email".to_owned()))
            .add_scope(Scope::new("profile".to_owned()))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        Ok(request.url().0.into())
    }

    /// Redeems a code, and holds what comes for it against the attempt.
    ///
    /// # Errors
    /// Any but `Misconfigured`.
    pub async fn identify(&self, code: String, attempt: &Attempt) -> Result<Identity, OidcError> {
        let metadata = self.metadata(None).await?;
        let client = self.client(&metadata);
        let answer = self.redeem(&client, code, attempt).await?;
        let token = answer.id_token().ok_or_else(|| untrusted("there is no ID token"))?;
        let nonce = Nonce::new(attempt.nonce.clone());
        let (client, claims) = match claims(&client, token, &nonce) {
            Ok(claims) => (client, claims),
            // It may have another key by now.
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey,
            )) => {
                tracing::info!(
                    provider = self.config.name,
                    "a token names an unknown key: asking for keys anew"
                );
                let client = self.client(&*self.metadata(Some(&metadata)).await?);
                let claims = claims(&client, token, &nonce).map_err(distrusted)?;
                (client, claims)
            }
            Err(error) => return Err(distrusted(error)),
        };
        belongs(&client, &answer, token, &claims)?;
        let multi_factor = self.multi_factor(&claims)?;
        let told = self.told(&client, &answer, &claims).await?;
        let name = |found: Option<&LocalizedClaim<EndUserName>>| {
            found.and_then(|name| name.get(None)).map(|name| name.to_string())
        };
        let email = claims.email().or(told.email());
        let verified = match claims.email() {
            Some(_) => claims.email_verified(),
            None => told.email_verified(),
        };
        Ok(Identity {
            issuer: claims.issuer().to_string(),
            subject: claims.subject().to_string(),
            email: email.map(|email| email.to_string()),
            email_verified: verified.unwrap_or(false),
            name: name(claims.name()).or_else(|| name(told.name())),
            multi_factor,
        })
    }

    /// Whether more than one factor was asked for there; refused when that is demanded, and not said.
    fn multi_factor(&self, claims: &CoreIdTokenClaims) -> Result<bool, OidcError> {
        let class = claims.auth_context_ref().map(|class| class.as_str());
        if let Some(wanted) = &self.config.multi_factor_acr {
            return match class == Some(wanted.as_str()) {
                true => Ok(true),
                false => Err(OidcError::Weak(wanted.clone())),
            };
        }
        let methods = claims.auth_method_refs().into_iter().flatten();
        Ok(methods.into_iter().any(|method| method.as_str() == MULTI_FACTOR))
    }

    /// What else the provider tells of whom the token is about: it need not put name and address into the token.
    async fn told(
        &self,
        client: &Client,
        answer: &CoreTokenResponse,
        claims: &CoreIdTokenClaims,
    ) -> Result<CoreUserInfoClaims, OidcError> {
        let subject = claims.subject().clone();
        let nothing =
            CoreUserInfoClaims::new(StandardClaims::new(subject.clone()), EmptyAdditionalClaims {});
        if claims.email().is_some() {
            return Ok(nothing);
        }
        // Not every provider has a place to ask at.
        let Ok(request) = client.user_info(answer.access_token().clone(), Some(subject)) else {
            return Ok(nothing);
        };
        request.request_async(&self.http).await.map_err(|error| match error {
            UserInfoError::Request(error) => unavailable(&error),
            other => untrusted(&other.to_string()),
        })
    }

    async fn redeem(
        &self,
        client: &Client,
        code: String,
        attempt: &Attempt,
    ) -> Result<CoreTokenResponse, OidcError> {
        let request = client.exchange_code(AuthorizationCode::new(code));
        let request = request.map_err(|error| untrusted(&error.to_string()))?;
        let request = request.set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier.clone()));
        request.request_async(&self.http).await.map_err(|error| match error {
            RequestTokenError::ServerResponse(said) => OidcError::Refused(said.error().to_string()),
            RequestTokenError::Request(error) => unavailable(&error),
            RequestTokenError::Parse(error, _) => untrusted(&error.to_string()),
            RequestTokenError::Other(error) => untrusted(&error),
        })
    }

    /// What is known of the provider; asked for anew if it is still what is said to be old.
    async fn metadata(
        &self,
        old: Option<&Arc<CoreProviderMetadata>>,
    ) -> Result<Arc<CoreProviderMetadata>, OidcError> {
        let mut known = self.known.lock().await;
        if let Some(found) = known.as_ref()
            && old.is_none_or(|old| !Arc::ptr_eq(old, found))
        {
            return Ok(Arc::clone(found));
        }
        let found = CoreProviderMetadata::discover_async(self.issuer.clone(), &self.http).await;
        let found = found.map_err(|error| match error {
            DiscoveryError::Request(error) => unavailable(&error),
            DiscoveryError::Response(status, ..) => {
                OidcError::Unavailable(format!("it answers {status}"))
            }
            other => untrusted(&other.to_string()),
        })?;
        Ok(Arc::clone(known.insert(Arc::new(found))))
    }

    fn client(&self, metadata: &CoreProviderMetadata) -> Client {
        let id = ClientId::new(self.config.client_id.clone());
        let secret = Some(ClientSecret::new(self.config.client_secret.clone()));
        let client = CoreClient::from_provider_metadata(metadata.clone(), id, secret);
        client.set_redirect_uri(self.redirect.clone())
    }
}

/// What a token says, if it holds: issuer, audience, time, nonce and signature.
fn claims(
    client: &Client,
    token: &CoreIdToken,
    nonce: &Nonce,
) -> Result<CoreIdTokenClaims, ClaimsVerificationError> {
    let verifier = client.id_token_verifier().set_allowed_algs(SIGNED);
    token.claims(&verifier, nonce).cloned()
}

/// Whether the access token beside it is the one that it was given with.
fn belongs(
    client: &Client,
    answer: &CoreTokenResponse,
    token: &CoreIdToken,
    claims: &CoreIdTokenClaims,
) -> Result<(), OidcError> {
    let Some(wanted) = claims.access_token_hash() else { return Ok(()) };
    let verifier = client.id_token_verifier().set_allowed_algs(SIGNED);
    let algorithm = token.signing_alg().map_err(|error| untrusted(&error.to_string()))?;
    let key = token.signing_key(&verifier).map_err(|error| untrusted(&error.to_string()))?;
    let found = AccessTokenHash::from_token(answer.access_token(), algorithm, key);
    match found.map_err(|error| untrusted(&error.to_string()))? == *wanted {
        true => Ok(()),
        false => Err(untrusted("the access token is another")),
    }
}

fn untrusted(why: &str) -> OidcError {
    OidcError::Untrusted(why.to_owned())
}

fn distrusted(error: ClaimsVerificationError) -> OidcError {
    match error {
        ClaimsVerificationError::SignatureVerification(cause) => untrusted(&cause.to_string()),
        other => untrusted(&other.to_string()),
    }
}

fn unavailable(error: &HttpError) -> OidcError {
    OidcError::Unavailable(error.to_string())
}
