//! What the work in here is called in traces, and what is said of it: never whose it was.
use std::borrow::Cow;
use std::fmt::{self, Write as _};

use cairn_core::Decider;
use cairn_event_log::Recorded;
use cairn_spans::{Cause, Kind, Spans, Work};

use crate::context::{ExecuteError, Executed};
use crate::processes::{Action, Leased, Occurrence};

/// Traces that a batch is told in; one that has a part in it beyond those does not show it.
pub(crate) const SHARES_MAX: usize = 32;

/// The carrying out of a command; a refusal that is certain has none.
pub(crate) fn command<A: Decider>(command: Option<&A::Command>) -> Work {
    let name = || {
        let name = command.map_or(Cow::Borrowed("refuse"), |command| first_word(command).into());
        format!("execute {} {name}", A::TYPE)
    };
    let work = cairn_spans::child(Kind::Internal, name);
    work.set("cairn.aggregate.type", A::TYPE);
    work
}

/// How a command ended. A refusal is an answer.
pub(crate) fn executed(work: &Work, done: &Result<Executed, ExecuteError>) {
    if !work.is_seen() {
        return;
    }
    match done {
        Ok(Executed { position, sequence, replayed, .. }) => {
            work.set("cairn.command.outcome", "accepted");
            work.set("cairn.command.replayed", *replayed);
            work.set("cairn.stream.sequence", *sequence);
            work.set("cairn.log.position", *position);
        }
        Err(ExecuteError::Refused { code, replayed, .. }) => {
            work.set("cairn.command.outcome", "refused");
            work.set("cairn.command.replayed", *replayed);
            work.set("cairn.command.code", code.clone());
        }
        Err(error) => {
            work.set("cairn.command.outcome", "failed");
            work.fail(match error {
                ExecuteError::KeyReused => "key_reused",
                ExecuteError::Conflict => "conflict",
                ExecuteError::Unavailable(_) => "unavailable",
                ExecuteError::InDoubt(_) => "in_doubt",
                ExecuteError::Internal(_) | ExecuteError::Refused { .. } => "internal",
            });
        }
    }
}

/// A step of a process manager: it takes an event in.
pub(crate) fn step(spans: &Spans, process: &str, happened: &Occurrence) -> Work {
    if !spans.is_on() {
        return Work::untraced();
    }
    let at = happened.recorded_at.as_micros();
    let cause = Cause::of(happened.metadata.traceparent.as_deref(), at);
    let work = spans.begin(Kind::Consumer, format!("{process} {}", happened.event_type), cause);
    work.set("cairn.process", process.to_owned());
    work.set("cairn.event.type", happened.event_type.clone());
    work.set("cairn.log.position", happened.position);
    work
}

/// An attempt at an intent. A timer that comes back begins a trace each time.
pub(crate) fn intent(spans: &Spans, leased: &Leased) -> Work {
    if !spans.is_on() {
        return Work::untraced();
    }
    let (traceparent, at) = (leased.origin.traceparent.as_deref(), leased.origin.at);
    let comes_back = matches!(leased.action, Action::Timer(_)) && leased.run > 0;
    let cause = match at {
        Some(at) if !comes_back => Cause::of(traceparent, at.as_micros()),
        Some(_) | None => Cause::recurring(traceparent),
    };
    let name = format!("{} {}", leased.process, leased.action.name());
    let work = spans.begin(Kind::Internal, name, cause).tried(leased.attempts);
    work.set("cairn.process", leased.process.clone());
    work.set("cairn.intent.kind", leased.action.kind());
    work
}

/// What the log lines of a piece of work are found by: its trace, and its span where it has one.
pub(crate) fn line(traceparent: Option<&str>, work: &Work) -> tracing::Span {
    let of = |range| traceparent.and_then(|it: &str| it.get(range));
    let span_id = work.is_seen().then(|| of(36..52)).flatten();
    tracing::info_span!("work", trace_id = of(3..35), span_id)
}

/// What an event causes that is done for many at once.
pub(crate) fn cause(fact: &Recorded) -> Cause {
    Cause::of(fact.metadata.traceparent.as_deref(), fact.recorded_at.as_micros())
}

/// What a value is called, without what is in it: the first word that it says of itself.
fn first_word(value: &impl fmt::Debug) -> String {
    let mut word = FirstWord(String::new());
    // It ends in an error where the word does.
    let _ = write!(word, "{value:?}");
    word.0
}

struct FirstWord(String);

impl fmt::Write for FirstWord {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let word = text.split(|c: char| !c.is_alphanumeric() && c != '_').next();
        let word = word.unwrap_or_default();
        self.0.push_str(word);
        if word.len() == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::first_word;

    #[derive(Debug)]
    #[allow(dead_code, reason = "only what it is called is asked for")]
    enum Wish {
        Nothing,
        Rename(String),
        Pay { to: &'static str },
    }

    #[test]
    fn a_command_says_what_it_is_called_and_nothing_of_what_is_in_it() {
        assert_eq!(first_word(&Wish::Nothing), "Nothing");
        assert_eq!(first_word(&Wish::Rename("Ada".to_owned())), "Rename");
        assert_eq!(first_word(&Wish::Pay { to: "Ada" }), "Pay");
        assert_eq!(first_word(&"Ada"), "");
    }
}
