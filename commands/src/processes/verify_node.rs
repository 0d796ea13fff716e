//! Waiting for an invited node, verifying it after enrolment, and watching it from then on.
//!
//! | event | intent | compensation |
//! |---|---|---|
//! | `node.invited` | timer `invitation_deadline` at the end of its token; a newer invitation has its own | command `expire_invitation` |
//! | `node.enrolled` | effect `probe_node` | none: a probe changes nothing |
//! | `node.probe_failed` | effect `probe_node` again after a while; the node itself is quarantined after three | – |
//! | `node.probe_passed` | timer `watch` | – |
//! | `watch` | effect `watch_node`: online → suspect → offline, and back, what is in use on it, and what it says of its boot; the timer again, sooner while it is suspect | – |
//! | `node.link_changed` to resyncing | effect `compare_inventory`; the watch repeats it until the node is online | – |
//! | `watch`, a day after the last comparison | effect `compare_inventory` | – |
//! | `node.inventory_compared` | effect `tear_down` of each orphan whose allocation the log knows to be over; anything else is an operator's | – |
//! | `node.outage_proven`, where that is charged | effect `charge_late`: rentals that were settled before that pay for what is proven now | none: totals are cumulative, and an outage counts once |
//! | the same, where it began too long ago | effect `review_late`: a case for each rental of what it does not pay for | none: a case is opened once |
//! | `node.capacity_reserved`, `.capacity_released` | – (who was there during an outage) | – |
//! | `node.quarantined`, policy `retired` | – (the watch ends) | – |
use std::collections::BTreeSet;

use cairn_core::{NodeId, Timestamp};
use cairn_fleet::{Finding, LateUsage, Link, NodeEvent, Policy};
use serde::{Deserialize, Serialize};

use super::fact::{Fact, Occurrence};
use super::intent::{Command, Effect, Ending, Intent, Outage, Timer};
use super::manager::{Alarm, Awoken, ProcessManager, Settings, Status};

/// The process manager.
#[derive(Debug)]
pub struct VerifyNode;

/// Where a node's verification stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Phase {
    #[default]
    Idle,
    Invited,
    Expired,
    Verifying,
    Watching,
    Quarantined,
    Retired,
}

/// What is remembered of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct State {
    pub phase: Phase,
    pub node_id: Option<NodeId>,
    pub link: Link,
    pub suspect_since: Option<Timestamp>,
    /// When it was first seen again.
    #[serde(default)]
    pub online_since: Option<Timestamp>,
    /// Position of the event that began the watch in force.
    pub watch: i64,
    /// Position and end of the invitation in force.
    #[serde(default)]
    pub invitation: Option<(i64, Timestamp)>,
    /// When its inventory was last compared, or it was taken in.
    #[serde(default)]
    pub compared_at: Option<Timestamp>,
    /// What is set aside on it, and what was until it was out of reach.
    #[serde(default)]
    pub rentals: BTreeSet<String>,
    /// Of these, what is there no more.
    #[serde(default)]
    pub left: BTreeSet<String>,
}

impl State {
    const fn is_away(&self) -> bool {
        matches!(self.link, Link::Suspect | Link::Offline)
    }

    fn wants_comparison(&self, now: Timestamp, settings: &Settings) -> bool {
        let old = |at| now.secs_since(at) >= settings.compare_seconds;
        match self.link {
            Link::Resyncing => true,
            Link::Online => self.compared_at.is_none_or(old),
            Link::NeverSeen | Link::Suspect | Link::Offline => false,
        }
    }
}

impl ProcessManager for VerifyNode {
    const NAME: &'static str = "verify_node";
    const READS: &'static [&'static str] = &["node"];
    type State = State;

    fn correlate(happened: &Occurrence) -> Option<String> {
        match &happened.fact {
            Fact::Node(
                NodeEvent::Invited { .. }
                | NodeEvent::InvitationExpired { .. }
                | NodeEvent::Enrolled { .. }
                | NodeEvent::ProbePassed { .. }
                | NodeEvent::ProbeFailed { .. }
                | NodeEvent::Quarantined { .. }
                | NodeEvent::PolicyChanged { .. }
                | NodeEvent::LinkChanged { .. }
                | NodeEvent::OutageProven { .. }
                | NodeEvent::CapacityReserved { .. }
                | NodeEvent::CapacityReleased { .. }
                | NodeEvent::InventoryCompared { .. },
            ) => Some(happened.stream.clone()),
            _ => None,
        }
    }

    fn evolve(mut state: State, happened: &Occurrence) -> State {
        let Fact::Node(event) = &happened.fact else { return state };
        match event {
            NodeEvent::Invited { node_id, expires_at, .. } => {
                state.phase = Phase::Invited;
                state.node_id = Some(*node_id);
                state.invitation = Some((happened.position, *expires_at));
            }
            NodeEvent::InvitationExpired { .. } => {
                state.phase = Phase::Expired;
                state.invitation = None;
            }
            NodeEvent::Enrolled { .. } => {
                state.phase = Phase::Verifying;
                state.invitation = None;
                state.node_id = happened.stream.parse().ok();
            }
            NodeEvent::ProbePassed { at } => {
                state.online_since = Some(*at);
                state.compared_at = Some(*at);
                state.phase = Phase::Watching;
                state.watch = happened.position;
                state.link = Link::Online;
                state.suspect_since = None;
            }
            NodeEvent::Quarantined { .. } => state.phase = Phase::Quarantined,
            NodeEvent::PolicyChanged { policy: Policy::Retired, .. } => {
                state.phase = Phase::Retired;
            }
            NodeEvent::LinkChanged { link, at } => {
                state.link = *link;
                state.suspect_since = (*link == Link::Suspect).then_some(*at);
                if matches!(link, Link::Online | Link::Resyncing) {
                    state.online_since = Some(*at);
                    let left = std::mem::take(&mut state.left);
                    state.rentals.retain(|rental| !left.contains(rental));
                }
            }
            NodeEvent::InventoryCompared { at, .. } => state.compared_at = Some(*at),
            NodeEvent::CapacityReserved { allocation_id, .. } => {
                state.rentals.insert(allocation_id.to_string());
            }
            // It may be the first answer after an outage, which is proven a moment later.
            NodeEvent::CapacityReleased { allocation_id, .. } if state.is_away() => {
                state.left.insert(allocation_id.to_string());
            }
            NodeEvent::CapacityReleased { allocation_id, .. } => {
                state.rentals.remove(&allocation_id.to_string());
            }
            NodeEvent::ProbeFailed { .. }
            | NodeEvent::OrphanRemoved { .. }
            | NodeEvent::BeatKept { .. }
            | NodeEvent::EvidenceRejected { .. }
            | NodeEvent::HealthDoubted { .. }
            | NodeEvent::HealthChanged { .. }
            | NodeEvent::PolicyChanged { .. }
            | NodeEvent::CapacityResized { .. }
            | NodeEvent::OutageProven { .. }
            | NodeEvent::CapacityQuarantined { .. } => {}
        }
        state
    }

    fn react(state: &State, happened: &Occurrence, settings: &Settings) -> Vec<Intent> {
        let (Fact::Node(event), Some(node_id)) = (&happened.fact, state.node_id) else {
            return vec![];
        };
        let probe = Intent::effect(Effect::ProbeNode { node_id }, None);
        match (event, state.phase) {
            (NodeEvent::Invited { expires_at, .. }, Phase::Invited) => {
                let deadline = Timer::InvitationDeadline { since: happened.position };
                vec![Intent::timer(deadline, *expires_at)]
            }
            (NodeEvent::Enrolled { .. }, Phase::Verifying) => vec![probe],
            (NodeEvent::ProbeFailed { at, .. }, Phase::Verifying) => {
                vec![probe.not_before(at.plus_secs(settings.probe_seconds))]
            }
            (NodeEvent::ProbePassed { at }, Phase::Watching) => {
                let first = at.plus_secs(settings.watch_seconds);
                vec![Intent::timer(Timer::Watch { since: state.watch }, first)]
            }
            (NodeEvent::LinkChanged { link: Link::Resyncing, .. }, Phase::Watching) => {
                vec![Intent::effect(Effect::CompareInventory { node_id }, None)]
            }
            (&NodeEvent::OutageProven { since, until, paused_seconds, .. }, Phase::Watching) => {
                let rentals = state.rentals.iter().filter_map(|id| id.parse().ok()).collect();
                let outage = Outage { node_id, since, until, paused_seconds, rentals };
                let effect = of_outage(outage, settings.late_usage);
                effect.map(|effect| Intent::effect(effect, None)).into_iter().collect()
            }
            (NodeEvent::InventoryCompared { comparison, at }, Phase::Watching) => {
                let until = at.plus_secs(settings.undo_seconds);
                let orphans = comparison.findings.iter().filter_map(Finding::orphan);
                let after = Ending::Orphan;
                let off = |allocation_id| Effect::TearDown { allocation_id, node_id, after };
                orphans.map(|id| Intent::effect(off(id), Some(until))).collect()
            }
            _ => vec![],
        }
    }

    fn due(state: &State, alarm: Alarm, settings: &Settings) -> Awoken {
        let Some(node_id) = state.node_id else { return Awoken::default() };
        match (alarm.timer, state.phase, state.invitation) {
            (Timer::InvitationDeadline { since }, Phase::Invited, Some((position, expires_at)))
                if since == position =>
            {
                let expire = Command::ExpireInvitation { node_id, expires_at };
                return Awoken { intents: vec![Intent::command(expire)], again_at: None };
            }
            (Timer::Watch { since }, Phase::Watching, _) if since == state.watch => {}
            _ => return Awoken::default(),
        }
        let soon = matches!(state.link, Link::Suspect | Link::Resyncing);
        let wait = if soon { settings.probe_seconds } else { settings.watch_seconds };
        // Between two looks that were answered, and none that was not, it was there.
        let before = alarm.due_at.plus_secs(-settings.watch_seconds);
        let seen_at = state.online_since.map(|since| since.max(before));
        let watch = Effect::WatchNode { node_id, suspect_since: state.suspect_since, seen_at };
        let mut intents = vec![Intent::effect(watch, None)];
        if state.wants_comparison(alarm.at, settings) {
            intents.push(Intent::effect(Effect::CompareInventory { node_id }, None));
        }
        Awoken { intents, again_at: Some(alarm.at.plus_secs(wait.max(1))) }
    }

    fn status(state: &State) -> Status {
        match state.phase {
            Phase::Idle | Phase::Invited => Status::Waiting,
            Phase::Verifying | Phase::Watching => Status::Running,
            Phase::Quarantined | Phase::Expired => Status::Unwound,
            Phase::Retired => Status::Done,
        }
    }
}

/// What becomes of time that is proven late.
fn of_outage(outage: Outage, late: LateUsage) -> Option<Effect> {
    let (since, until) = (outage.since, outage.until);
    if late.charges(since, until) {
        return Some(Effect::ChargeLate(outage));
    }
    late.reviews(since, until).then_some(Effect::ReviewLate(outage))
}
