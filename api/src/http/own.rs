//! Requests of people on themselves, and of those who are to become somebody: without an organisation that they act for.
//!
//! What carries a password or a code has no `Idempotency-Key`: nothing of it may be kept, not even a hash of the body. A repeat of it is
//! another attempt, and harms nobody.
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request;
use cairn_commands::CommandContext;
use serde::de::DeserializeOwned;

use super::body;
use super::edge::preview::not_asked;
use super::request_id::RequestId;
use super::state::Api;
use super::wish::{idempotency_key, origin};
use crate::auth::Person;
use crate::problem::Problem;
use crate::trace::Trace;

/// What anybody may ask for, once.
#[derive(Debug)]
pub struct Once<T> {
    /// Identity of the command: one of its own.
    pub context: CommandContext,
    /// What for.
    pub body: T,
}

/// What a person asks for on themselves with a secret in the body, once.
#[derive(Debug)]
pub struct OwnOnce<T> {
    /// Who asks.
    pub person: Person,
    /// Identity of the command: one of its own.
    pub context: CommandContext,
    /// What for.
    pub body: T,
}

/// What a person asks for on themselves, under a key.
#[derive(Debug)]
pub struct Own<T> {
    /// Who asks.
    pub person: Person,
    /// Identity of the command.
    pub context: CommandContext,
    /// What for.
    pub body: T,
}

fn person(parts: &request::Parts) -> Result<Person, Problem> {
    let found = parts.extensions.get::<Person>().copied();
    found.ok_or_else(|| Problem::new("unauthenticated", "nobody is signed in"))
}

fn context(
    parts: &request::Parts,
    (command_id, body_hash): (String, [u8; 32]),
    actor: String,
) -> CommandContext {
    let request_id = parts.extensions.get::<RequestId>().map(RequestId::to_string);
    CommandContext {
        command_id,
        body_hash,
        actor,
        organisation_id: None,
        correlation_id: request_id.unwrap_or_default(),
        causation_id: None,
        traceparent: parts.extensions.get::<Trace>().map(Trace::traceparent),
        origin: origin(&parts.extensions),
    }
}

fn once(api: &Api) -> (String, [u8; 32]) {
    (format!("once:{:032x}", api.commands.ids.next()), [0; 32])
}

/// The identity of a command that somebody asks for by being sent here: there is no body.
#[derive(Debug)]
pub struct OnceRead(pub CommandContext);

impl FromRequestParts<Api> for OnceRead {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, api: &Api) -> Result<Self, Problem> {
        not_asked(&parts.extensions)?;
        Ok(Self(context(parts, once(api), "anybody".to_owned())))
    }
}

impl<T: DeserializeOwned> FromRequest<Api> for Once<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        not_asked(request.extensions())?;
        let (parts, body) = request.into_parts();
        let bytes = body::read(body, body::BODY_MAX).await?;
        let (body, _) = body::parse::<T>(&parts.headers, &bytes)?;
        Ok(Self { context: context(&parts, once(api), "anybody".to_owned()), body })
    }
}

impl<T: DeserializeOwned> FromRequest<Api> for OwnOnce<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        not_asked(request.extensions())?;
        Self::read(request, api).await
    }
}

impl<T: DeserializeOwned> OwnOnce<T> {
    /// Whatever is to be made of it.
    pub(super) async fn read(request: Request, api: &Api) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let person = person(&parts)?;
        let bytes = body::read(body, body::BODY_MAX).await?;
        let (body, _) = body::parse::<T>(&parts.headers, &bytes)?;
        Ok(Self { person, context: context(&parts, once(api), person.actor()), body })
    }
}

impl<T: DeserializeOwned> FromRequest<Api> for Own<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Api) -> Result<Self, Problem> {
        not_asked(request.extensions())?;
        let (parts, body) = request.into_parts();
        let person = person(&parts)?;
        let key = idempotency_key(&parts.headers)?;
        let command_id = format!("http:{}:{key}", person.user_id);
        let bytes = body::read(body, body::BODY_MAX).await?;
        let (body, value) = body::parse::<T>(&parts.headers, &bytes)?;
        let hash = body::wish_hash(&parts.method, parts.uri.path(), &value);
        Ok(Self { person, context: context(&parts, (command_id, hash), person.actor()), body })
    }
}
