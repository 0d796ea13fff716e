//! Rate limits on the wire: `RateLimit` and `RateLimit-Policy` on what is answered (draft-ietf-httpapi-ratelimit-headers), and 429
//! with `Retry-After` when nothing is left.
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};

use crate::http::documents::add_header;
use crate::problem::Problem;
use crate::quota::{Class, Policy, Quotas, Stand, table};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// How one request stands with every policy that counted it.
#[derive(Debug, Default)]
pub struct Standings(Vec<(Policy, Stand)>);

impl Standings {
    /// Counts the request.
    ///
    /// # Errors
    /// `rate_limited`.
    pub async fn count(
        &mut self,
        quotas: &Quotas,
        policy: Policy,
        subject: &str,
    ) -> Result<(), Problem> {
        match quotas.take(policy, subject).await {
            Some(stand) => self.note(policy, stand),
            None => Ok(()),
        }
    }

    /// Counts nothing, and refuses whoever has nothing left.
    ///
    /// # Errors
    /// `rate_limited`.
    pub async fn refuse_spent(
        &mut self,
        quotas: &Quotas,
        policy: Policy,
        subject: &str,
    ) -> Result<(), Problem> {
        match quotas.spent(policy, subject).await {
            Some(stand) => self.note(policy, stand),
            None => Ok(()),
        }
    }

    fn note(&mut self, policy: Policy, stand: Stand) -> Result<(), Problem> {
        self.0.push((policy, stand));
        if stand.is_granted {
            return Ok(());
        }
        let Policy { name, quota, seconds } = policy;
        metrics::counter!("cairn_rate_limited_total", "policy" => name).increment(1);
        let wait = whole_seconds(stand.resets_in);
        let detail = format!("'{name}' allows {quota} in {seconds} s; try again in {wait} s");
        Err(Problem::new("rate_limited", detail))
    }

    /// Says how it stands, the tightest policy first.
    pub fn tell(mut self, headers: &mut HeaderMap) {
        self.0.sort_by_key(|(_, stand)| stand.remaining);
        let refused = self.0.iter().find(|(_, stand)| !stand.is_granted);
        if let Some((_, stand)) = refused {
            let wait = HeaderValue::from(whole_seconds(stand.resets_in));
            headers.insert(header::RETRY_AFTER, wait);
        }
        let policies = self.0.iter().map(|(Policy { name, quota, seconds }, _)| {
            format!("\"{name}\";q={quota};w={seconds}")
        });
        let limits = self.0.iter().map(|(Policy { name, .. }, stand)| {
            format!("\"{name}\";r={};t={}", stand.remaining, whole_seconds(stand.resets_in))
        });
        for (name, items) in
            [(POLICY, policies.collect::<Vec<_>>()), (RATE_LIMIT, limits.collect())]
        {
            if let Ok(value) = HeaderValue::from_str(&items.join(", "))
                && !items.is_empty()
            {
                headers.insert(name, value);
            }
        }
    }
}

/// Not less than it takes, and at least one.
fn whole_seconds(left: Duration) -> u64 {
    left.as_secs() + u64::from(left.subsec_nanos() > 0 || left.is_zero())
}

/// Says of an operation that it is counted, and what is answered to whoever asks too often.
pub fn describe(operation: &mut Operation, is_read: bool) {
    let (id, is_open) = (operation.operation_id.clone(), operation.security.is_none());
    if table::class(id.as_deref().unwrap_or_default(), is_open, is_read) == Class::Watched {
        return;
    }
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let refused = ResponseBuilder::new().description("Asked too often; nothing happened");
    let mut refused = refused.content("application/problem+json", content).build();
    add_header(&mut refused, "Retry-After", ("Seconds to wait", Type::Integer));
    let responses = &mut operation.responses.responses;
    responses.insert("429".to_owned(), refused.into());
    for (status, response) in responses {
        let RefOr::T(response) = response else { continue };
        if status.starts_with('2') || ["304", "429"].contains(&status.as_str()) {
            add_header(response, "RateLimit-Policy", (POLICIES, Type::String));
            add_header(response, "RateLimit", (LIMITS, Type::String));
        }
    }
}

const POLICIES: &str = "Policies that counted this request: `q` requests in `w` seconds";
const LIMITS: &str = "What is left of them: `r` requests for `t` more seconds";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::HeaderMap;

    use super::Standings;
    use crate::quota::{Policy, Stand};

    #[test]
    fn the_tightest_policy_stands_first_and_no_wait_is_too_short() {
        let policy = |name, quota| Policy { name, quota, seconds: 60 };
        let stand = |is_granted, remaining, millis| {
            let resets_in = Duration::from_millis(millis);
            Stand { is_granted, remaining, resets_in }
        };
        let mut standings = Standings::default();
        standings.note(policy("address", 90), stand(true, 80, 30_001)).unwrap();
        let problem = standings.note(policy("read", 10), stand(false, 0, 1)).unwrap_err();
        assert_eq!(problem.code.name, "rate_limited");
        assert_eq!(problem.detail, "'read' allows 10 in 60 s; try again in 1 s");
        let mut headers = HeaderMap::new();
        standings.tell(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"read\";q=10;w=60, \"address\";q=90;w=60");
        assert_eq!(headers["ratelimit"], "\"read\";r=0;t=1, \"address\";r=80;t=31");
        assert_eq!(headers["retry-after"], "1");
        Standings::default().tell(&mut headers);
        assert_eq!(headers.len(), 3, "nothing counted, nothing told");
    }
}
