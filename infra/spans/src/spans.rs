//! What makes spans.
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use opentelemetry::context::{FutureExt as _, WithContext};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{
    Link, Span, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue, Value};

use crate::cause::{Cause, traceparent};
use crate::work::{Attempt, Work};

/// Makes the spans of one server; nobody's by default. Clones are the same.
#[derive(Clone, Default)]
pub struct Spans(Option<Arc<BoxedTracer>>);

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Spans").field(&self.0.is_some()).finish()
    }
}

impl Spans {
    /// Those of a provider.
    #[must_use]
    pub fn of<P>(provider: &P) -> Self
    where
        P: TracerProvider,
        P::Tracer: Tracer<Span: Span + Send + Sync> + Send + Sync + 'static,
    {
        Self(Some(Arc::new(BoxedTracer::new(Box::new(provider.tracer("cairn"))))))
    }

    /// Those that whoever runs this is traced by.
    #[must_use]
    pub fn current() -> Self {
        Context::map_current(|context| context.get::<Self>().cloned()).unwrap_or_default()
    }

    /// Whether anything is traced.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Does something whose spans are these, and which is no span itself.
    pub fn around<F: Future>(&self, future: F) -> WithContext<F> {
        let context = match &self.0 {
            Some(_) => Context::new().with_value(self.clone()),
            None => Context::current(),
        };
        future.with_context(context)
    }

    /// Begins work that something in the log, or somebody outside, is the cause of.
    pub fn begin(&self, kind: SpanKind, name: impl Into<Cow<'static, str>>, cause: Cause) -> Work {
        let Some(tracer) = &self.0 else { return Work::untraced() };
        let context = Context::new().with_value(self.clone());
        let (context, links) = match cause {
            Cause::Nothing => (context, vec![]),
            // Whoever asked does not want to see it, and so nobody sees what follows.
            Cause::Lately(cause) if !cause.is_sampled() => {
                return Work(Some(context.with_remote_span_context(cause)));
            }
            Cause::Lately(cause) => (context.with_remote_span_context(cause), vec![]),
            Cause::LongAgo(cause) => (context, vec![Link::with_context(cause)]),
        };
        let builder = SpanBuilder::from_name(name).with_kind(kind).with_links(links);
        let span = builder.start_with_context(&**tracer, &context);
        Work(Some(context.with_span(span)))
    }

    /// The shares that a stretch of the log has in work that is done for all of it at once: one for each trace that somebody wants to
    /// see, and at most so many.
    #[must_use]
    pub fn begin_all(
        &self,
        kind: SpanKind,
        name: impl Fn() -> Cow<'static, str>,
        (causes, most): (impl Iterator<Item = Cause>, usize),
    ) -> Vec<Work> {
        if !self.is_on() {
            return vec![];
        }
        let mut seen = vec![];
        for cause in causes.filter(Cause::is_sampled) {
            if seen.len() == most {
                break;
            }
            if !seen.contains(&cause) {
                seen.push(cause);
            }
        }
        seen.into_iter().map(|cause| self.begin(kind.clone(), name(), cause)).collect()
    }
}

/// Begins a part of the work under way, or a trace where there is none. Untraced where nothing is, and within what nobody sees.
pub fn child<N: Into<Cow<'static, str>>>(kind: SpanKind, name: impl FnOnce() -> N) -> Work {
    let traced = |context: &Context| context.get::<Spans>().is_some().then(|| context.clone());
    let Some(context) = Context::map_current(traced) else { return Work::untraced() };
    let Some(Spans(Some(tracer))) = context.get::<Spans>() else { return Work::untraced() };
    let above = context.span().span_context().clone();
    if above.is_valid() && !above.is_sampled() {
        return Work::untraced();
    }
    let span =
        SpanBuilder::from_name(name()).with_kind(kind).start_with_context(&**tracer, &context);
    Work(Some(context.with_span(span)))
}

/// How what the work under way causes names it; `None` where nothing is traced.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    Context::map_current(|context| {
        context.get::<Spans>()?;
        let span = context.span();
        span.span_context().is_valid().then(|| traceparent(span.span_context()))
    })
}

/// What is done now went wrong: see [`Work::fail`].
pub fn failed(kind: impl Into<Value>) {
    Context::map_current(|context| {
        if context.get::<Spans>().is_some() && context.span().is_recording() {
            context.span().set_attribute(KeyValue::new("error.type", kind));
            context.span().set_status(Status::error(""));
        }
    });
}

/// The work under way, carried into a task of its own, and how often it was tried.
pub fn carried<F: Future>(future: F) -> WithContext<F> {
    future.with_current_context()
}

impl Attempt {
    /// Of the work under way.
    #[must_use]
    pub fn current() -> Option<Self> {
        Context::map_current(|context| context.get::<Self>().copied())
    }
}
