//! Versions of the API, named by the day on which something changed that breaks clients, and the operations that are on their way out.
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use jiff::civil::Date;
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::tz::TimeZone;
use utoipa::openapi::Deprecated;
use utoipa::openapi::path::Operation;

use crate::problem::Problem;

/// Header that carries the version, both ways.
pub const VERSION: HeaderName = HeaderName::from_static("cairn-version");
/// The version that is served.
pub const CURRENT: &str = "2026-11-27";
/// Every version that may be asked for.
const VERSIONS: &[&str] = &[CURRENT];

/// An operation that is on its way out.
#[derive(Debug, Clone, Copy)]
pub struct Leaving {
    /// `operationId`.
    pub operation: &'static str,
    /// Since when nobody should begin to use it, `YYYY-MM-DD`.
    pub deprecated_on: &'static str,
    /// From when on it is not there, `YYYY-MM-DD`.
    pub sunset_on: &'static str,
}

/// The operations that are on their way out: none.
pub const LEAVING: &[Leaving] = &[];

/// Refuses a version that is none.
///
/// # Errors
/// `version_unknown`.
pub fn check(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(asked) = headers.get(&VERSION) else { return Ok(()) };
    let text = asked.to_str().unwrap_or("?");
    if VERSIONS.contains(&text) {
        return Ok(());
    }
    let detail = format!("'{text}' is no version; there is {}", VERSIONS.join(", "));
    Err(Problem::new("version_unknown", detail))
}

/// Says of an answer whether its operation leaves, and when (RFC 9745, RFC 8594).
pub fn tell(table: &[Leaving], operation: &str, headers: &mut HeaderMap) {
    let Some(row) = table.iter().find(|row| row.operation == operation) else { return };
    let (Some(since), Some(sunset)) = (deprecation(row), sunset(row)) else { return };
    headers.insert(HeaderName::from_static("deprecation"), since);
    headers.insert(HeaderName::from_static("sunset"), sunset);
    headers.append(header::LINK, HeaderValue::from_static("</openapi.json>; rel=\"deprecation\""));
}

/// Says so in the document.
pub fn describe(table: &[Leaving], operation: &mut Operation) {
    let leaves = |id: &str| table.iter().any(|row| row.operation == id);
    if operation.operation_id.as_deref().is_some_and(leaves) {
        operation.deprecated = Some(Deprecated::True);
    }
}

fn midnight(day: &str) -> Option<jiff::Timestamp> {
    let day: Date = day.parse().ok()?;
    Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn deprecation(row: &Leaving) -> Option<HeaderValue> {
    let since = midnight(row.deprecated_on)?.as_second();
    HeaderValue::from_str(&format!("@{since}")).ok()
}

fn sunset(row: &Leaving) -> Option<HeaderValue> {
    let at = midnight(row.sunset_on)?;
    let text = DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()?;
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::{CURRENT, LEAVING, Leaving, VERSION, VERSIONS, check, midnight, tell};

    #[test]
    fn only_a_version_that_there_is_may_be_asked_for() {
        let mut headers = HeaderMap::new();
        assert!(check(&headers).is_ok());
        for (asked, fits) in [(CURRENT, true), ("2026-11-26", false), ("", false), ("1", false)] {
            headers.insert(VERSION, HeaderValue::from_static(asked));
            assert_eq!(check(&headers).is_ok(), fits, "{asked}");
        }
    }

    #[test]
    fn what_leaves_says_since_when_and_until_when() {
        let row =
            |operation, deprecated_on, sunset_on| Leaving { operation, deprecated_on, sunset_on };
        let table = [row("get_old", "2026-11-27", "2027-05-31")];
        let mut headers = HeaderMap::new();
        tell(&table, "get_new", &mut headers);
        assert!(headers.is_empty());
        tell(&table, "get_old", &mut headers);
        assert_eq!(headers["deprecation"], "@1795737600");
        assert_eq!(headers["sunset"], "Mon, 31 May 2027 00:00:00 GMT");
        assert_eq!(headers["link"], "</openapi.json>; rel=\"deprecation\"");
    }

    #[test]
    fn every_day_in_the_tables_is_one() {
        let leaving = LEAVING.iter().flat_map(|row| [row.deprecated_on, row.sunset_on]);
        for day in VERSIONS.iter().copied().chain(leaving) {
            assert!(midnight(day).is_some(), "{day}");
        }
        assert!(LEAVING.iter().all(|row| row.deprecated_on < row.sunset_on));
    }
}
