//! Sessions on the wire: a cookie that no script reads and no other site sends, and the proof that a change was asked for by our own page.
//!
//! The cookie is `__Host-`, `Secure`, `HttpOnly` and `SameSite=Strict`. A change also carries `X-CSRF-Token`, which whoever signs in is
//! told and a page of another site cannot know, and, when the browser says where it comes from, a place that may ask.
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::headers::Origins;
use crate::auth::secret::{Purpose, Session};
use crate::auth::ticket::Ticket;
use crate::auth::{Malformed, Secret};
use crate::problem::Problem;

/// The cookie.
pub const COOKIE: &str = "__Host-cairn";
/// Header that carries the proof.
pub const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");

/// The session's secret in the cookie, if there is one.
#[must_use]
pub fn cookie(headers: &HeaderMap) -> Option<Result<Secret<Session>, Malformed>> {
    named(headers, COOKIE)
}

fn named<P: Purpose>(headers: &HeaderMap, wanted: &str) -> Option<Result<Secret<P>, Malformed>> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        values.flat_map(|value| value.split(';')).filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim() == wanted)?;
    Some(Secret::parse(value.trim()))
}

/// The cookie to set. It ends with the session, which the server knows.
#[must_use]
pub fn set(secret: &Secret<Session>, seconds: i64) -> Option<HeaderValue> {
    let (secret, rest) = (secret.expose(), "Path=/; Secure; HttpOnly; SameSite=Strict");
    let text = format!("{COOKIE}={secret}; Max-Age={seconds}; {rest}");
    let value = HeaderValue::from_str(&text).ok();
    value.map(|mut value| {
        value.set_sensitive(true);
        value
    })
}

/// The cookie, taken away.
pub const CLEAR: HeaderValue =
    HeaderValue::from_static("__Host-cairn=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Strict");

/// The cookie of an attempt to sign in through another provider.
const ATTEMPT: &str = "__Host-cairn-attempt";

/// The attempt in the cookie, if there is one.
#[must_use]
pub fn attempt(headers: &HeaderMap) -> Option<Result<Ticket, Malformed>> {
    named(headers, ATTEMPT)
}

/// The cookie to set. A provider sends the browser back from another site, so it comes along with that.
#[must_use]
pub fn set_attempt(ticket: &Ticket, seconds: i32) -> Option<HeaderValue> {
    let (ticket, rest) = (ticket.expose(), "Path=/; Secure; HttpOnly; SameSite=Lax");
    let text = format!("{ATTEMPT}={ticket}; Max-Age={seconds}; {rest}");
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The cookie, taken away.
pub const CLEAR_ATTEMPT: HeaderValue = HeaderValue::from_static(
    "__Host-cairn-attempt=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax",
);

/// The cookie of an attempt to add or show a passkey.
const PASSKEY: &str = "__Host-cairn-passkey";

/// The attempt in the cookie, if there is one.
#[must_use]
pub fn passkey(headers: &HeaderMap) -> Option<Result<Ticket, Malformed>> {
    named(headers, PASSKEY)
}

/// The cookie to set. The browser never leaves for it, so no other site sends it.
#[must_use]
pub fn set_passkey(ticket: &Ticket, seconds: i32) -> Option<HeaderValue> {
    let (ticket, rest) = (ticket.expose(), "Path=/; Secure; HttpOnly; SameSite=Strict");
    let text = format!("{PASSKEY}={ticket}; Max-Age={seconds}; {rest}");
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The cookie, taken away.
pub const CLEAR_PASSKEY: HeaderValue = HeaderValue::from_static(
    "__Host-cairn-passkey=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Strict",
);

/// What a change must carry beside the cookie.
#[must_use]
pub fn csrf_token(secret: &Secret<Session>) -> String {
    secret.derived("csrf")
}

/// Refuses a change, by its headers, that another site may have made a browser ask for.
///
/// # Errors
/// `csrf_token_invalid`, `origin_forbidden`.
pub fn check(
    secret: &Secret<Session>,
    headers: &HeaderMap,
    origins: &Origins,
) -> Result<(), Problem> {
    let given = headers.get(&CSRF).map(HeaderValue::as_bytes).unwrap_or_default();
    if !same(given, csrf_token(secret).as_bytes()) {
        let detail = "a change with a session carries X-CSRF-Token, as it was told at the sign-in";
        return Err(Problem::new("csrf_token_invalid", detail));
    }
    let from = headers.get(header::ORIGIN);
    let is_ours = from.is_none_or(|origin| is_own(origin, headers) || origins.0.contains(origin));
    if is_ours {
        return Ok(());
    }
    Err(Problem::new("origin_forbidden", "pages of that origin may not ask with a session"))
}

/// Whether an origin is the host that was asked.
fn is_own(origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, asked)| Some(asked) == host)
}

/// Takes as long whatever is wrong.
#[must_use]
pub fn same(given: &[u8], wanted: &[u8]) -> bool {
    let differs = given.iter().zip(wanted).fold(0, |differs, (a, b)| differs | (a ^ b));
    given.len() == wanted.len() && differs == 0
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::extract::Request;
    use axum::http::HeaderValue;

    use super::{CLEAR, COOKIE, check, cookie, csrf_token, set};
    use crate::auth::Secret;
    use crate::auth::secret::Session;
    use crate::http::edge::headers::Origins;

    fn secret() -> Secret<Session> {
        Secret::from_random(&[3; 40])
    }

    fn change(headers: &[(&str, &str)]) -> Request {
        let request = Request::post("/v1/x").header("host", "cairn.example.org");
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(Body::empty()).unwrap()
    }

    fn code(headers: &[(&str, &str)]) -> &'static str {
        let origins = Origins(vec![HeaderValue::from_static("https://console.example.org")]);
        check(&secret(), change(headers).headers(), &origins)
            .map_or_else(|problem| problem.code.name, |()| "")
    }

    #[test]
    fn a_change_needs_the_token_and_a_place_that_may_ask() {
        let token = csrf_token(&secret());
        let token = ("x-csrf-token", token.as_str());
        assert_eq!(code(&[]), "csrf_token_invalid");
        assert_eq!(code(&[("x-csrf-token", "guess")]), "csrf_token_invalid");
        assert_eq!(code(&[token]), "");
        assert_eq!(code(&[token, ("origin", "https://cairn.example.org")]), "");
        assert_eq!(code(&[token, ("origin", "https://console.example.org")]), "");
        assert_eq!(code(&[token, ("origin", "https://evil.example.org")]), "origin_forbidden");
        assert_eq!(code(&[token, ("origin", "null")]), "origin_forbidden");
    }

    #[test]
    fn the_cookie_is_read_as_it_was_set() {
        let value = set(&secret(), 60).unwrap();
        let text = value.to_str().unwrap();
        for word in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict", "; Max-Age=60"] {
            assert!(text.contains(word), "{text}");
        }
        assert!(!text.contains("Domain"));
        let pair = text.split(';').next().unwrap();
        let request = change(&[("cookie", &format!("a=b; {pair}"))]);
        assert_eq!(cookie(request.headers()), Some(Ok(secret())));
        assert!(cookie(change(&[("cookie", "__Host-cairn=forged")]).headers()).unwrap().is_err());
        assert!(cookie(change(&[]).headers()).is_none());
        assert!(CLEAR.to_str().unwrap().starts_with(&format!("{COOKIE}=;")));
    }
}
