//! Spans of traces (OpenTelemetry): what one piece of work was part of, across tasks, the log and whoever is called.
//!
//! Whoever begins work of its own (a request, a step of a process, an attempt) begins a span with [`Spans::begin`], caused by the
//! `traceparent` that came with the request or stands in an event. What is done within it finds its place by itself: [`child`]. Without
//! a tracer nothing is made, and nothing is paid but a look.
//!
//! A span has a name of few kinds, and attributes that say what was done and how it ended; never whose it was, nor what was in it.
mod cause;
mod spans;
mod work;

pub use cause::Cause;
pub use opentelemetry::trace::SpanKind as Kind;
pub use spans::{Spans, carried, child, current_traceparent, failed};
pub use work::{Attempt, Work};
