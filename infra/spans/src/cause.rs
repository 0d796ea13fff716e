//! What made somebody begin: a span of this process, of another, or of long ago.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// What is done so long after its cause is a trace of its own, linked to the cause's: a trace ends, a rental may last a year.
const LONG: Duration = Duration::from_secs(600);

/// What a piece of work follows from.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// Nothing that was traced: a trace begins.
    Nothing,
    /// The trace goes on.
    Lately(SpanContext),
    /// A trace begins that names the old one.
    LongAgo(SpanContext),
}

impl Cause {
    /// Whoever asks, by the W3C trace context that came along: `00-<trace>-<span>-<flags>`.
    #[must_use]
    pub fn caller(traceparent: Option<&str>) -> Self {
        Self::after(traceparent, Duration::ZERO)
    }

    /// Something in the log, by its trace context and when that was, in microseconds since 1970.
    #[must_use]
    pub fn of(traceparent: Option<&str>, at_micros: i64) -> Self {
        let at = UNIX_EPOCH + Duration::from_micros(at_micros.unsigned_abs());
        #[allow(clippy::disallowed_methods, reason = "spans are timed by the machine's clock")]
        let now = SystemTime::now();
        Self::after(traceparent, now.duration_since(at).unwrap_or_default())
    }

    fn after(traceparent: Option<&str>, age: Duration) -> Self {
        match traceparent.and_then(parse) {
            None => Self::Nothing,
            Some(context) if age > LONG => Self::LongAgo(context),
            Some(context) => Self::Lately(context),
        }
    }

    /// The same of what was caused long ago, whenever it was: what comes back by itself again and again.
    #[must_use]
    pub fn recurring(traceparent: Option<&str>) -> Self {
        traceparent.and_then(parse).map_or(Self::Nothing, Self::LongAgo)
    }

    /// Whether somebody wants to see the trace that it belongs to.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Lately(context) | Self::LongAgo(context) => context.is_sampled(),
        }
    }
}

fn parse(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if [version, trace, span, flags].map(str::len) != [2, 32, 16, 2] || parts.next().is_some() {
        return None;
    }
    let trace = TraceId::from_hex(trace).ok()?;
    let span = SpanId::from_hex(span).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

/// A span as what it causes knows it.
pub(crate) fn traceparent(context: &SpanContext) -> String {
    let flags = context.trace_flags().to_u8() & TraceFlags::SAMPLED.to_u8();
    format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Cause, LONG, parse, traceparent};

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_read_is_written_again() {
        assert_eq!(traceparent(&parse(GIVEN).unwrap()), GIVEN);
        let unseen = GIVEN.replace("-01", "-00");
        assert_eq!(traceparent(&parse(&unseen).unwrap()), unseen);
    }

    #[test]
    fn what_is_no_trace_context_causes_nothing() {
        for wrong in ["", "00", &GIVEN[1..], &GIVEN.replace("4bf9", "4zf9"), &format!("{GIVEN}-x")]
        {
            assert_eq!(Cause::after(Some(wrong), Duration::ZERO), Cause::Nothing, "{wrong}");
        }
        let nobody = GIVEN.replace("00f067aa0ba902b7", "0000000000000000");
        assert_eq!(Cause::after(Some(&nobody), Duration::ZERO), Cause::Nothing);
        assert_eq!(Cause::after(None, Duration::ZERO), Cause::Nothing);
    }

    #[test]
    fn a_trace_ends_after_a_while() {
        assert!(matches!(Cause::after(Some(GIVEN), LONG), Cause::Lately(_)));
        assert!(matches!(Cause::after(Some(GIVEN), LONG * 2), Cause::LongAgo(_)));
        assert!(matches!(Cause::recurring(Some(GIVEN)), Cause::LongAgo(_)));
    }
}
