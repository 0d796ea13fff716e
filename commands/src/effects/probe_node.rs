//! Looking at a node: once before it may be used, and for as long as it is in use. What is seen is recorded; a probe changes nothing.
use cairn_core::{NodeId, Timestamp};
use cairn_fleet::{Beat, Link, Node, NodeCommand, NodeLifecycle};

use crate::ports::PortError;

use super::Act;

pub(super) async fn probe_node(act: &Act<'_>, node_id: NodeId) -> Result<(), PortError> {
    let node = act.load::<Node>(&node_id.to_string()).await?;
    if node.lifecycle != NodeLifecycle::Verifying {
        return Ok(());
    }
    let target = act.target(node_id).await?;
    let failure = match act.call(act.effects.node.probe(&target)).await {
        Ok(report) => clock_ahead(report.beat.as_ref(), act.now()),
        // Nobody looked, so nothing was seen.
        Err(failure) if failure.unasked.is_some() => return Err(failure),
        Err(failure) => {
            act.distrust(node_id, &failure).await?;
            Some(failure.to_string())
        }
    };
    let record = NodeCommand::RecordProbe { failure, at: act.now() };
    match act.node("record", node_id, record).await {
        Err(refused) if refused.code == "node_in_wrong_state" => Ok(()),
        other => other,
    }
}

/// A clock that is ahead keeps a node from being used, as one that is behind does.
fn clock_ahead(beat: Option<&Beat>, now: Timestamp) -> Option<String> {
    let beat = beat.filter(|beat| beat.is_ahead(now))?;
    Some(format!("clock_skew: the node's clock says {}, ours {now}", beat.clock_at))
}

/// When a node was last known to be alive.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastKnown {
    /// It has not answered since.
    pub suspect_since: Option<Timestamp>,
    /// The last look that it answered.
    pub seen_at: Option<Timestamp>,
}

/// Online while it answers, suspect from the last answer on when it does not, offline when that is `suspect_seconds` ago. What it says is in use
/// on it is judged by the node, and so is what it says of its boot: an answer that cannot be true is none.
pub(super) async fn watch_node(
    act: &Act<'_>,
    node_id: NodeId,
    known: LastKnown,
) -> Result<(), PortError> {
    let node = act.load::<Node>(&node_id.to_string()).await?;
    if node.lifecycle != NodeLifecycle::Ready {
        return Ok(());
    }
    let target = act.target(node_id).await?;
    let asked_at = act.now();
    let answer = act.look(act.effects.node.probe(&target)).await;
    if let Err(failure) = &answer
        && failure.unasked.is_some()
    {
        return Err(failure.clone());
    }
    let now = act.now();
    let heard = answer.as_ref().ok().and_then(|report| report.beat.clone());
    let is_false = heard.as_ref().is_some_and(|beat| node.fault_of(beat, now).is_some());
    // Most say nothing new, and are no command.
    if let Some(beat) = heard.filter(|beat| node.is_news(beat, now)) {
        act.node("hear", node_id, NodeCommand::ObserveBeat { beat, at: now }).await?;
    }
    let silent = known.suspect_since.map(|since| asked_at.secs_since(since));
    let seen_at = known.seen_at.unwrap_or(asked_at).min(asked_at);
    let (link, at) = match (answer.is_ok() && !is_false, node.link, silent) {
        (true, _, _) => (Link::Online, now),
        (false, Link::Offline, _) => (Link::Offline, now),
        (false, Link::Suspect, Some(seconds)) if seconds >= act.settings.suspect_seconds => {
            (Link::Offline, now)
        }
        (false, Link::NeverSeen | Link::Online | Link::Suspect | Link::Resyncing, _) => {
            (Link::Suspect, seen_at)
        }
    };
    if let Err(failure) = &answer {
        act.distrust(node_id, failure).await?;
    }
    act.node("observe", node_id, NodeCommand::ObserveLink { link, at }).await?;
    match answer.ok().filter(|_| !is_false).and_then(|report| report.usage) {
        Some(usage) => {
            act.node("weigh", node_id, NodeCommand::ObserveUsage { usage, at: now }).await
        }
        None => Ok(()),
    }
}
