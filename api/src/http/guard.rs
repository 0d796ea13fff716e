//! The guard in front of every route: which operation this is, who asks, how often, and whether the table lets them.
//!
//! Authorisation happens here and in `admit`, and nowhere else, before a byte of the body is read. What the table does not name is refused.
use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::OpenApi;

use super::admit::{self, ACT_FOR, ORGANISATION, Wanted, named};
use super::edge::client::Client;
use super::edge::dated;
use super::edge::preview;
use super::edge::rate::Standings;
use super::edge::session;
use super::state::Api;
use crate::auth::directory::{KnownKey, KnownSession};
use crate::auth::{ApiKeySecret, Mode, table};
use crate::problem::Problem;
use crate::quota::table::class;

/// Name of the operation that a request asks for.
#[derive(Debug, Clone)]
pub struct Operation(pub Arc<str>);

/// An operation and the tag it stands under, which is its context.
type Known = (Arc<str>, Arc<str>);

/// Operations by method and path, as the OpenAPI document has them.
#[derive(Debug, Clone, Default)]
pub struct Operations(Arc<HashMap<(Method, String), Known>>);

impl Operations {
    /// Of a document.
    #[must_use]
    pub fn of(document: &OpenApi) -> Self {
        let mut found = HashMap::new();
        for (path, item) in &document.paths.paths {
            for (method, operation) in [
                (Method::GET, &item.get),
                (Method::POST, &item.post),
                (Method::PUT, &item.put),
                (Method::PATCH, &item.patch),
                (Method::DELETE, &item.delete),
            ] {
                let Some(operation) = operation else { continue };
                let Some(id) = operation.operation_id.as_deref() else { continue };
                let tag = operation.tags.as_ref().and_then(|tags| tags.first());
                let tag = tag.map_or("", String::as_str);
                found.insert((method, path.clone()), (Arc::from(id), Arc::from(tag)));
            }
        }
        Self(Arc::new(found))
    }

    fn find(&self, method: &Method, path: &str) -> Option<Known> {
        let method = if method == Method::HEAD { Method::GET } else { method.clone() };
        self.0.get(&(method, path.to_owned())).cloned()
    }
}

/// What the guard needs.
#[derive(Debug, Clone)]
pub struct Guard {
    /// The API.
    pub api: Api,
    /// Its operations.
    pub operations: Operations,
}

/// Lets a request pass, with its caller, or answers with a problem.
pub async fn guard(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    if let Some(problem) = unspeakable(request.uri()) {
        return problem.into_response();
    }
    let path = request.extensions().get::<MatchedPath>().map(|p| p.as_str().to_owned());
    let operation = path.and_then(|path| guard.operations.find(request.method(), &path));
    let Some((operation, context)) = operation else {
        return Problem::new("route_not_found", "there is no such operation").into_response();
    };
    request.extensions_mut().insert(Operation(Arc::clone(&operation)));
    match preview::asked(&operation, (request.method(), request.uri())) {
        Ok(None) => {}
        Ok(Some(asked)) => drop(request.extensions_mut().insert(asked)),
        Err(problem) => return problem.into_response(),
    }
    let mut standings = Standings::default();
    let mut response =
        match pass(&guard.api, &mut request, (&operation, &context), &mut standings).await {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        };
    standings.tell(response.headers_mut());
    dated::tell(dated::LEAVING, &operation, response.headers_mut());
    response.extensions_mut().insert(Operation(operation));
    response
}

/// U+0000 and what is not UTF-8 name nothing, and the database cannot even be asked for them.
fn unspeakable(uri: &Uri) -> Option<Problem> {
    let detail = "every name here is UTF-8 without U+0000";
    if !is_text(uri.path()) {
        return Some(Problem::new("route_not_found", detail));
    }
    let in_query = uri.query().is_some_and(|query| !is_text(query));
    in_query.then(|| Problem::new("query_invalid", detail))
}

/// Whether it is such a text once its percent signs are resolved.
fn is_text(encoded: &str) -> bool {
    let (mut bytes, mut rest) = (vec![], encoded.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| first == b'%');
        let escaped = escaped.and_then(|pair| hex::decode(pair).ok()?.pop());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    !bytes.contains(&0) && String::from_utf8(bytes).is_ok()
}

async fn pass(
    api: &Api,
    request: &mut Request,
    (operation, context): (&str, &str),
    standings: &mut Standings,
) -> Result<(), Problem> {
    dated::check(request.headers())?;
    let client = Client::find(request.extensions(), request.headers(), &api.proxies);
    let address = client.as_ref().map(Client::subject).unwrap_or_default();
    if let Some(client) = client {
        request.extensions_mut().insert(client);
    }
    let (is_open, is_read) = (table::is_public(operation), request.method().is_safe());
    let policy = api.quotas.rates.of(class(operation, is_open, is_read));
    if policy.is_some() {
        standings.count(&api.quotas, api.quotas.rates.address, &address).await?;
    }
    if let Some((policy, false)) = policy {
        // Whoever registers may sign in as often as anybody.
        let alone = policy == api.quotas.rates.sign_in;
        let subject = if alone { format!("{operation} {address}") } else { address.clone() };
        standings.count(&api.quotas, policy, &subject).await?;
    }
    if is_open {
        return Ok(());
    }
    let asker = identify(api, (request.headers(), is_read), (&address, standings)).await?;
    if let Some((policy, true)) = policy {
        standings.count(&api.quotas, policy, &asker.subject()).await?;
    }
    let wanted = Wanted { operation, context, is_read };
    match asker {
        Asker::Key(key) => {
            if let Some(asked) = request.extensions_mut().get_mut::<preview::Asked>() {
                asked.sees_wallet = table::scopes_allow(&key.scopes, ("ledger", true));
            }
            let caller =
                admit::key(api, &key, &wanted, named(request.headers(), &ACT_FOR)?).await?;
            api.features.check(operation, caller.organisation_id).await?;
            request.extensions_mut().insert(caller);
        }
        Asker::Session(session) => {
            admit::fresh(&session, operation, api.commands.clock.now())?;
            request.extensions_mut().insert(session.person);
            if !table::is_personal(operation) {
                let caller =
                    admit::person(&session, &wanted, named(request.headers(), &ORGANISATION)?)?;
                api.features.check(operation, caller.organisation_id).await?;
                request.extensions_mut().insert(caller);
            }
        }
    }
    Ok(())
}

/// Who asks, before it is known whether they may.
enum Asker {
    Key(KnownKey),
    Session(KnownSession),
}

impl Asker {
    /// Whom a policy counts.
    fn subject(&self) -> String {
        match self {
            Self::Key(key) => key.key_id.to_string(),
            Self::Session(session) => session.person.user_id.to_string(),
        }
    }
}

/// What is said of keys and sessions that are none.
const GUESSES: [&str; 3] = ["unauthenticated", "api_key_malformed", "api_key_for_tests"];

/// Finds the key or the session. Whoever shows too many that are none is refused with whatever they have, until the window ends.
async fn identify(
    api: &Api,
    (headers, is_read): (&HeaderMap, bool),
    (address, standings): (&str, &mut Standings),
) -> Result<Asker, Problem> {
    let failures = api.quotas.rates.failures;
    standings.refuse_spent(&api.quotas, failures, address).await?;
    let now = api.commands.clock.now();
    let cookie = session::cookie(headers);
    let found = match (headers.get(header::AUTHORIZATION), cookie) {
        (None, Some(secret)) => match secret {
            Ok(secret) => match api.directory.session(&secret, now).await {
                Ok(session) => {
                    if !is_read {
                        session::check(&secret, headers, &api.origins)?;
                    }
                    Ok(Asker::Session(session))
                }
                Err(problem) => Err(problem),
            },
            Err(error) => Err(Problem::new("unauthenticated", error.to_string())),
        },
        _ => match ApiKeySecret::parse(bearer(headers)?) {
            Ok(secret) if secret.is_for_tests() && api.mode == Mode::Live => {
                let detail = "this key was made where money is not real, and here it is";
                Err(Problem::new("api_key_for_tests", detail))
            }
            Ok(secret) => api.directory.key(&secret, now).await.map(Asker::Key),
            Err(error) => Err(Problem::new("api_key_malformed", error.to_string())),
        },
    };
    // Whoever holds a key or a session that is over guesses nothing (nobody guesses a whole one), and a database that is silent says nothing of the key.
    if found.as_ref().is_err_and(|problem| GUESSES.contains(&problem.code.name)) {
        standings.count(&api.quotas, failures, address).await?;
    }
    found
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let missing = || {
        let detail = "send an API key as Authorization: Bearer cairn_…, or sign in";
        Problem::new("unauthenticated", detail)
    };
    let value = headers.get(header::AUTHORIZATION).ok_or_else(missing)?;
    let text = value.to_str().map_err(|_| missing())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing());
    }
    Ok(token.trim())
}

#[cfg(test)]
mod tests {
    use super::is_text;

    #[test]
    fn text_is_utf_8_without_nul() {
        for text in ["", "/v1/a", "/%C3%A9", "/100%", "/%zz", "/%2500"] {
            assert!(is_text(text), "{text}");
        }
        for other in ["/%00", "/%FF", "/%ff", "/%C3", "/%C3(", "/a%c3%28"] {
            assert!(!is_text(other), "{other}");
        }
    }
}
