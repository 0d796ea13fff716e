//! Which types of events an endpoint may ask for, and whether one is among those that it asked for.
use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::ExecuteError;
use crate::answers::refused;
use crate::public::types;

/// Asks only the endpoint itself, whatever it asked for.
pub(super) const TESTED: &str = "cairn.webhook_endpoint.test_requested.v1";

static KNOWN: LazyLock<BTreeSet<String>> =
    LazyLock::new(|| types().into_iter().map(|public| public.kind).collect());

/// Whether every wanted type is one, or begins some: `cairn.allocation.activated.v1`, `cairn.allocation.*`.
pub(super) fn check(wanted: &[String]) -> Result<(), ExecuteError> {
    let named = |one: &str, kind: &str| one == kind || one.ends_with('*') && fits(one, kind);
    let unknown = wanted.iter().find(|one| !KNOWN.iter().any(|kind| named(one, kind)));
    unknown.map_or(Ok(()), |unknown| {
        let message = format!("there is no public event of the type '{unknown}'");
        Err(refused("webhook_event_types_invalid", message))
    })
}

/// Whether an endpoint that wants these wants this one; who names none wants all. Who names a version wants those after it as well: nothing that
/// they asked for stops coming because it says more.
pub(super) fn wants(wanted: &[String], kind: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|one| fits(one, kind))
}

fn fits(wanted: &str, kind: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(begins) => begins.ends_with('.') && kind.starts_with(begins),
        None => wanted == kind || is_later(kind, wanted),
    }
}

/// Whether one is a later version of the other.
fn is_later(kind: &str, wanted: &str) -> bool {
    let version = |of: &str| -> Option<(String, u32)> {
        let (name, version) = of.rsplit_once(".v")?;
        Some((name.to_owned(), version.parse().ok()?))
    };
    let both = version(kind).zip(version(wanted));
    both.is_some_and(|((name, later), (asked, from))| name == asked && later > from)
}

#[cfg(test)]
mod tests {
    use super::{check, wants};

    #[test]
    fn an_endpoint_is_told_what_it_asked_for() {
        let some = ["cairn.allocation.*".to_owned(), "cairn.payment.failed.v1".to_owned()];
        check(&some).unwrap();
        assert!(wants(&some, "cairn.allocation.activated.v1"));
        assert!(wants(&some, "cairn.payment.failed.v1"));
        assert!(wants(&some, "cairn.payment.failed.v2"), "it says the same, and more");
        assert!(!wants(&["cairn.payment.failed.v2".to_owned()], "cairn.payment.failed.v1"));
        assert!(!wants(&some, "cairn.payment.failed.v0"));
        assert!(!wants(&some, "cairn.payment.succeeded.v1"));
        assert!(wants(&[], "cairn.payment.succeeded.v1"));
    }

    #[test]
    fn what_is_no_type_cannot_be_asked_for() {
        for wrong in ["", "*", "cairn.alloc*", "cairn.allocation.activated", "cairn.nothing.*"] {
            assert!(check(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
        for never in ["cairn.payment.failed.v0", "cairn.payment.failed.v3"] {
            assert!(check(&[never.to_owned()]).is_err(), "{never}");
        }
    }
}
