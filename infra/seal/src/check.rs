//! Holds the events of one block against what was sealed.
use std::cmp::Ordering;

use crate::{Fault, Finding, Hash, Judged, SealedEvent, merkle};

/// A block, its leaves in both places, and the events that stand in its range now.
#[derive(Debug, Clone, Copy)]
pub struct BlockView<'a> {
    /// The block's header, judged.
    pub judged: &'a Judged,
    /// Leaves in the database; `None` when there is no such seal.
    pub table: Option<&'a [Hash]>,
    /// Leaves in the published copy; `None` when it has no such seal.
    pub published: Option<&'a [Hash]>,
    /// Events from the block's first to its last position, in order; `None` when they are not looked at.
    pub events: Option<&'a [SealedEvent]>,
}

/// Everything that is wrong with a block, each by its position. Empty when it is as it was sealed.
#[must_use]
pub fn check_block(view: BlockView<'_>) -> Vec<Finding> {
    let now = view.events.map(|events| events.iter().map(SealedEvent::leaf).collect::<Vec<_>>());
    let lists = [view.published, view.table, now.as_deref()];
    let sealed = view.judged.trusted.as_ref().and_then(|header| {
        // Leaves prove themselves: they reach the root that was signed, or they are not the ones.
        let fits =
            |list: &&[Hash]| list.len() as u64 == header.count && merkle::root(list) == header.root;
        lists.into_iter().flatten().find(fits)
    });
    let mut findings = vec![];
    let copies = [
        (view.judged.table.as_ref(), view.table, Fault::SealBroken),
        (view.judged.published.as_ref(), view.published, Fault::PublishedBroken),
    ];
    for (fault, leaves, broken) in copies {
        let differs =
            sealed.zip(leaves).and_then(|(sealed, leaves)| first_difference(sealed, leaves));
        let at = |index: Option<usize>| view.at(index.unwrap_or(0));
        match fault {
            Some((fault, detail)) => findings.push(view.finding(at(differs), *fault, detail)),
            None if differs.is_some() => {
                findings.push(view.finding(
                    at(differs),
                    broken,
                    "a leaf is not the one that was sealed",
                ));
            }
            None => {}
        }
    }
    match (sealed, view.published.or(view.table)) {
        (Some(sealed), _) => {
            findings.extend(now.iter().flat_map(|now| view.events_against(sealed, now)));
        }
        (None, kept) if view.judged.trusted.is_some() => {
            let hint = kept.zip(now.as_deref()).and_then(|(kept, now)| first_difference(kept, now));
            let detail = "neither events nor leaves reach the root that was signed";
            findings.push(view.finding(view.at(hint.unwrap_or(0)), Fault::LeavesLost, detail));
        }
        // The seal itself is what is wrong, and that has been said.
        (None, _) => {}
    }
    findings.sort_by_key(|finding| finding.position);
    findings
}

fn first_difference(left: &[Hash], right: &[Hash]) -> Option<usize> {
    let same = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    (same < left.len().max(right.len())).then_some(same)
}

impl BlockView<'_> {
    fn at(&self, index: usize) -> i64 {
        self.judged.first.saturating_add(i64::try_from(index).unwrap_or(i64::MAX))
    }

    fn finding(&self, position: i64, fault: Fault, detail: &str) -> Finding {
        Finding { position, block: Some(self.judged.number), fault, detail: detail.to_owned() }
    }

    fn events_against(&self, sealed: &[Hash], now: &[Hash]) -> Vec<Finding> {
        let mut findings = vec![];
        let mut stands = self.events.unwrap_or_default().iter().zip(now).peekable();
        for (index, sealed) in sealed.iter().enumerate() {
            let position = self.at(index);
            let mut seen = 0;
            while let Some((event, leaf)) =
                stands.next_if(|(event, _)| event.position.cmp(&position) != Ordering::Greater)
            {
                seen += 1;
                if seen == 2 {
                    findings.push(self.finding(
                        position,
                        Fault::EventTwice,
                        "two events stand here",
                    ));
                }
                if leaf != sealed {
                    let detail = format!(
                        "{} of {} is not what was sealed",
                        event.event_type, event.aggregate_id
                    );
                    findings.push(self.finding(position, Fault::EventChanged, &detail));
                }
            }
            if seen == 0 {
                findings.push(self.finding(
                    position,
                    Fault::EventMissing,
                    "the event is not there",
                ));
            }
        }
        findings
    }
}
