//! Every request belongs to a trace, its caller's or a new one, and so does everything it sets in motion.
use axum::http::HeaderMap;
use cairn_commands::ports::IdSource;

const HEADER: &str = "traceparent";

/// A trace and the caller's place in it, in the form of W3C Trace Context: `00-<trace>-<parent>-<flags>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    traceparent: String,
    /// Whether its place in it is a span of ours.
    is_span: bool,
}

impl Trace {
    /// The caller's trace. A header that is not one counts as none, and then a new trace begins.
    #[must_use]
    pub fn of(headers: &HeaderMap, ids: &dyn IdSource) -> Self {
        Self::given(headers).unwrap_or_else(|| Self::begin(ids))
    }

    /// The caller's trace, if there is one.
    #[must_use]
    pub fn given(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(HEADER).iter();
        let only = values.next().filter(|_| values.next().is_none());
        only.and_then(|value| value.to_str().ok()).and_then(Self::parse)
    }

    /// The trace that a span of ours is part of.
    #[must_use]
    pub const fn of_span(traceparent: String) -> Self {
        Self { traceparent, is_span: true }
    }

    /// A new trace.
    #[must_use]
    pub fn begin(ids: &dyn IdSource) -> Self {
        // Neither id may be zero.
        let (trace, parent) = (ids.next() | 1, (ids.next() & u128::from(u64::MAX)) | 1);
        let traceparent = format!("00-{trace:032x}-{parent:016x}-01");
        Self { traceparent, is_span: false }
    }

    /// As it is written into events.
    #[must_use]
    pub fn traceparent(&self) -> String {
        self.traceparent.clone()
    }

    /// What the log lines of one trace share.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.traceparent[3..35]
    }

    /// The span of ours that they belong to, when there is one and it is seen.
    #[must_use]
    pub fn span_id(&self) -> Option<&str> {
        let is_seen = self.is_span && self.traceparent.ends_with("-01");
        is_seen.then(|| &self.traceparent[36..52])
    }

    /// A later version may say more than we know: what we know of it is said in ours.
    fn parse(value: &str) -> Option<Self> {
        let (known, more) = value.split_at_checked(55)?;
        let mut parts = known.split('-');
        let (version, trace, parent, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let lengths = [version, trace, parent, flags].map(str::len);
        let hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let zero = |part: &str| part.bytes().all(|byte| byte == b'0');
        let whole = match version {
            "ff" => false,
            "00" => more.is_empty(),
            _ => more.is_empty() || more.starts_with('-'),
        };
        let valid = whole
            && lengths == [2, 32, 16, 2]
            && parts.next().is_none()
            && [version, trace, parent, flags].into_iter().all(hex)
            && !zero(trace)
            && !zero(parent);
        let traceparent = || format!("00-{trace}-{parent}-{flags}");
        valid.then(|| Self { traceparent: traceparent(), is_span: false })
    }
}

#[cfg(test)]
mod tests {
    use super::Trace;
    use crate::system::RandomIds;
    use axum::http::{HeaderMap, HeaderValue};

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(values: &[&str]) -> Trace {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("traceparent", HeaderValue::from_str(value).unwrap());
        }
        Trace::of(&headers, &RandomIds::default())
    }

    #[test]
    fn the_callers_trace_goes_on() {
        assert_eq!(of(&[GIVEN]).traceparent(), GIVEN);
        assert_eq!(of(&[GIVEN]).trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let later = GIVEN.replacen("00", "cc", 1);
        assert_eq!(of(&[&later]).traceparent(), GIVEN);
        assert_eq!(of(&[&format!("{later}-what-comes")]).traceparent(), GIVEN);
    }

    #[test]
    fn what_is_no_trace_counts_as_none_and_a_new_one_begins() {
        let wrong = [
            "".to_owned(),
            "00".to_owned(),
            "-".repeat(55),
            GIVEN.to_uppercase(),
            GIVEN.replacen("00", "ff", 1),
            format!("{GIVEN}-more"),
            format!("{}.", GIVEN.replacen("00", "cc", 1)),
            GIVEN.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            GIVEN.replace("00f067aa0ba902b7", &"0".repeat(16)),
            GIVEN.replace("4bf9", "4-f9"),
            GIVEN.replace("-01", "-0g"),
        ];
        for value in &wrong {
            let begun = of(&[value]);
            assert!(!value.contains(begun.trace_id()), "{value}");
            assert_eq!(Trace::parse(&begun.traceparent()), Some(begun), "{value}");
        }
        assert_ne!(of(&[GIVEN, GIVEN]).traceparent(), GIVEN, "which of the two?");
        assert_ne!(of(&[]), of(&[]));
    }
}
