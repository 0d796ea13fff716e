//! A piece of work while its span lasts.
use opentelemetry::context::{FutureExt as _, WithContext};
use opentelemetry::trace::{Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue, Value};

use crate::cause::traceparent;

/// How often something was tried, this time included. Whoever is called within it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt(pub u32);

/// A piece of work; its span ends with it. Where nothing is traced it is nothing.
#[derive(Debug)]
#[must_use = "its span ends when it is dropped"]
pub struct Work(pub(crate) Option<Context>);

impl Work {
    /// Nothing that is traced.
    pub const fn untraced() -> Self {
        Self(None)
    }

    /// Whether anybody will see it: else nothing need be found out for it.
    #[must_use]
    pub fn is_seen(&self) -> bool {
        self.0.as_ref().is_some_and(|context| context.span().is_recording())
    }

    /// How what it causes names it; `None` where nothing is traced.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        let context = self.0.as_ref()?;
        let span = context.span();
        span.span_context().is_valid().then(|| traceparent(span.span_context()))
    }

    /// Says something of it.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// It went wrong: `error.type`, a code of few kinds. No message: it may quote anything.
    pub fn fail(&self, kind: impl Into<Value>) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new("error.type", kind));
            context.span().set_status(Status::error(""));
        }
    }

    /// The same, knowing how often it was tried.
    pub fn tried(mut self, attempt: u32) -> Self {
        self.0 = self.0.take().map(|context| context.with_value(Attempt(attempt)));
        self.set("cairn.attempt", i64::from(attempt));
        self
    }

    /// Does something within it.
    pub fn run<F: Future>(&self, future: F) -> WithContext<F> {
        future.with_context(self.0.clone().unwrap_or_else(Context::current))
    }
}

/// Others may still run within it; it ends all the same.
impl Drop for Work {
    fn drop(&mut self) {
        if let Some(context) = &self.0 {
            context.span().end();
        }
    }
}
