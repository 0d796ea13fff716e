//! Time that nobody proved and nobody pays for: asked by finance and operators (how much, where, why), and by whose rental it was.
//!
//! A tick of the meter says how far it came and how many seconds by then are unproven. One row of `compute_unproven` is one such sum of one
//! rental, with the first and the last place of the meter at it: the time between two sums is where the seconds lie. `compute_late_usage` is
//! the same of the seconds that were proven late and charged, and `compute_late_proofs` has those of rentals that had ended. `compute_links` says when nodes were silent meanwhile, and when a silence was
//! proven, one row for each change of a link. Whose a rental is and what it costs is in `compute_allocations`.
use async_trait::async_trait;
use cairn_compute::AllocationEvent;
use cairn_core::Timestamp;
use cairn_event_log::Recorded;
use cairn_fleet::{Link, NodeEvent};

pub use super::unproven_query::{Filter, Unproven, list};
use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::At;

/// Name of this projection.
pub const NAME: &str = "compute/unproven";

/// The projection.
pub struct UnprovenTimes;

#[async_trait]
impl Projection for UnprovenTimes {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &["compute_unproven", "compute_late_usage", "compute_late_proofs", "compute_links"]
    }

    fn interest(&self) -> Interest {
        Interest::Types(vec![
            "allocation.activated",
            "allocation.metered",
            "allocation.late_usage_proven",
            "node.probe_passed",
            "node.quarantined",
            "node.link_changed",
            "node.outage_proven",
        ])
    }

    fn splits_by_key(&self) -> bool {
        true
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        if event.aggregate_type == "node" {
            keep_link(changes, event, &event.decode()?);
            return Ok(());
        }
        match event.decode()? {
            AllocationEvent::Activated { at, .. } => {
                keep_sum(changes, event, (0, at, at));
                keep_late(changes, event, (0, at, at));
            }
            AllocationEvent::Metered { through, unproven_seconds, late_seconds, at } => {
                keep_sum(changes, event, (unproven_seconds, through, at));
                keep_late(changes, event, (late_seconds, through, at));
            }
            AllocationEvent::LateUsageProven { seconds, since, until, at } => {
                changes.insert(ProofRow {
                    position: event.position,
                    allocation_id: event.aggregate_id.clone(),
                    seconds,
                    since: At(since),
                    until: At(until),
                    noted_at: At(at),
                });
            }
            _ => {}
        }
        Ok(())
    }
}

row! {
    /// From `first_at` to `last_at` the meter of a rental stood at this sum.
    pub(crate) struct SumRow in "compute_unproven" by (allocation_id: String, unproven_seconds: i64) {
        allocation_id: String,
        unproven_seconds: i64,
        position: i64,
        first_at: At,
        last_at: At,
        noted_at: At,
    }
}

row! {
    /// From `first_at` to `last_at` so many seconds of it had been proven late, and are charged.
    pub(crate) struct LateRow in "compute_late_usage" by (allocation_id: String, late_seconds: i64) {
        allocation_id: String,
        late_seconds: i64,
        position: i64,
        first_at: At,
        last_at: At,
        noted_at: At,
    }
}

row! {
    /// Of what was unproven of a rental that had ended, so many seconds were proven later, in an outage from `since` to `until`.
    pub(crate) struct ProofRow in "compute_late_proofs" by (position: i64) {
        position: i64,
        allocation_id: String,
        seconds: i64,
        since: At,
        until: At,
        noted_at: At,
    }
}

row! {
    /// What a change of a node's link says of its silences: one that lasts has no end, and where none is, there is no beginning either.
    pub(crate) struct LinkRow in "compute_links" last_of (node_id: String) {
        node_id: String,
        position: i64,
        since: Option<At>,
        until: Option<At>,
        why: String,
        proven_at: Option<At>,
    }
}

fn keep_sum(
    changes: &mut Changes,
    event: &Recorded,
    (unproven_seconds, through, at): (i64, Timestamp, Timestamp),
) {
    let (allocation_id, position) = (event.aggregate_id.clone(), event.position);
    changes.put((allocation_id.clone(), unproven_seconds), move |known: Option<SumRow>| {
        Ok(match known {
            Some(known) => SumRow { last_at: At(through), ..known },
            None => SumRow {
                allocation_id,
                unproven_seconds,
                position,
                first_at: At(through),
                last_at: At(through),
                noted_at: At(at),
            },
        })
    });
}

fn keep_late(
    changes: &mut Changes,
    event: &Recorded,
    (late_seconds, through, at): (i64, Timestamp, Timestamp),
) {
    let (allocation_id, position) = (event.aggregate_id.clone(), event.position);
    changes.put((allocation_id.clone(), late_seconds), move |known: Option<LateRow>| {
        let (last_at, noted_at) = (At(through), At(at));
        let first =
            LateRow { allocation_id, late_seconds, position, first_at: last_at, last_at, noted_at };
        Ok(known.map_or(first, |known| LateRow { last_at, ..known }))
    });
}

/// What an event says of a node's silence.
enum Said {
    /// It is silent since then, and this is why.
    Silent(Timestamp, &'static str),
    /// It is not.
    There(Timestamp),
    /// One boot spans it.
    Proven(Timestamp),
}

fn keep_link(changes: &mut Changes, event: &Recorded, happened: &NodeEvent) {
    let said = match happened {
        NodeEvent::Quarantined { at, .. } => Said::Silent(*at, "quarantine"),
        NodeEvent::LinkChanged { link: Link::Suspect, at } => Said::Silent(*at, "silence"),
        NodeEvent::LinkChanged { link: Link::Offline, at } => Said::Silent(*at, "outage"),
        NodeEvent::ProbePassed { at }
        | NodeEvent::LinkChanged { link: Link::Online | Link::Resyncing, at } => Said::There(*at),
        NodeEvent::OutageProven { at, .. } => Said::Proven(*at),
        _ => return,
    };
    let (node_id, position) = (event.aggregate_id.clone(), event.position);
    changes.append((node_id.clone(),), move |last: Option<LinkRow>| {
        let open = last.filter(|last| last.since.is_some() && last.until.is_none());
        let open = open.map(|open| (open.why, open.since, open.proven_at));
        let (was, since, proven_at) = open.unwrap_or_default();
        let (since, until, why, proven_at) = match said {
            Said::Silent(at, why) => {
                let since = since.map_or(At(at), |since| since.min(At(at)));
                (Some(since), None, worse(was, why), proven_at)
            }
            Said::There(at) => (since, since.map(|_| At(at)), was, proven_at),
            Said::Proven(at) => (since, None, was, since.map(|_| At(at))),
        };
        Ok(LinkRow { node_id, position, since, until, why, proven_at })
    });
}

/// A silence that became an outage is one, and a node that is not trusted is not trusted whatever it does.
fn worse(was: String, why: &str) -> String {
    match (was.as_str(), why) {
        ("quarantine", _) | ("outage", "silence") => was,
        _ => why.to_owned(),
    }
}
