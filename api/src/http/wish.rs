//! What a mutating request carries: who asks, once and for all under which key, for what.
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use cairn_commands::{CommandContext, Expected};
use serde::de::DeserializeOwned;

use super::answer::command_id;
use super::body;
use super::edge::client::Client;
use super::edge::conditions::{self, Condition};
use super::edge::preview::{Asked, not_asked};
use super::flight::Flight;
use super::guard::Operation;
use super::request_id::RequestId;
use super::state::Api;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::trace::Trace;

const KEY_MAX: usize = 200;

/// A parsed mutating request.
#[derive(Debug)]
pub struct Wish<T> {
    /// Who asks.
    pub caller: Caller,
    /// Identity of the command.
    pub context: CommandContext,
    /// What it was seen as.
    pub expected: Expected,
    /// What for.
    pub body: T,
    /// Held until it is answered.
    pub flight: Flight,
}

impl<T: DeserializeOwned> FromRequest<Api> for Wish<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        not_asked(request.extensions())?;
        Self::read(request, api).await
    }
}

impl<T: DeserializeOwned> Wish<T> {
    /// Whatever is to be made of it. Who asks only what would happen uses no key up.
    pub(super) async fn read(request: Request, api: &Api) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let caller = *parts
            .extensions
            .get::<Caller>()
            .ok_or_else(|| Problem::new("unauthenticated", "no caller"))?;
        let key = match parts.extensions.get::<Asked>() {
            Some(_) => format!("preview:{:032x}", api.commands.ids.next()),
            None => idempotency_key(&parts.headers)?.to_owned(),
        };
        let operation = parts.extensions.get::<Operation>();
        let condition = operation.map_or(Condition::None, |o| conditions::condition(&o.0));
        let expected = conditions::expected(&parts.headers, condition)?;
        let bytes = body::read(body, body::BODY_MAX).await?;
        let (wish, value) = body::parse::<T>(&parts.headers, &bytes)?;
        let request_id = parts.extensions.get::<RequestId>().map(RequestId::to_string);
        let context = CommandContext {
            command_id: command_id(&caller, &key),
            body_hash: conditions::bound(
                body::wish_hash(&parts.method, parts.uri.path(), &value),
                &expected,
            ),
            actor: caller.actor(),
            organisation_id: Some(caller.organisation_id),
            correlation_id: request_id.unwrap_or_default(),
            causation_id: None,
            traceparent: parts.extensions.get::<Trace>().map(Trace::traceparent),
            origin: origin(&parts.extensions),
        };
        let flight = api.in_flight.begin(&context.command_id)?;
        Ok(Self { caller, context, expected, body: wish, flight })
    }
}

/// The key that makes this request happen at most once.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<&str, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        let detail = "send a new random Idempotency-Key with every POST, and the same one on retry";
        return Err(Problem::new("idempotency_key_missing", detail));
    };
    let visible = |key: &&str| {
        (1..=KEY_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    };
    value.to_str().ok().filter(visible).ok_or_else(|| {
        let detail = format!("a key is 1 to {KEY_MAX} visible ASCII characters");
        Problem::new("idempotency_key_invalid", detail)
    })
}

/// The address the request came from.
pub fn origin(extensions: &axum::http::Extensions) -> Option<String> {
    Client::of(extensions).map(|address| address.to_string())
}
