//! Letting a node in: invitations, the one-time token, and an answer that was lost on its way to the node.
use cairn_core::{NodeId, Timestamp};

use crate::events::NodeEvent;
use crate::facts::HostKey;
use crate::node::{Node, NodeError, NodeLifecycle, PROBES_MAX, Policy};

fn check_name(name: &str) -> Result<(), NodeError> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let fits = !name.is_empty() && name.len() <= 63 && !name.starts_with('-');
    if fits && name.bytes().all(allowed) { Ok(()) } else { Err(NodeError::BadName) }
}

impl Node {
    /// Whether this token lets the node in now.
    ///
    /// # Errors
    /// `enrolment_token_refused`.
    pub fn check_token(&self, token_sha256: &str, at: Timestamp) -> Result<(), NodeError> {
        let matches = self.token_sha256.as_deref() == Some(token_sha256);
        if self.lifecycle == NodeLifecycle::Invited && matches && at < self.token_expires_at {
            Ok(())
        } else {
            Err(NodeError::TokenRefused)
        }
    }

    /// Whether the answer to the enrolment may be given once more: to the same machine, while the invitation would still be good.
    #[must_use]
    pub fn may_hear_again(
        &self,
        (address, port): (&str, u16),
        host_keys: &[HostKey],
        at: Timestamp,
    ) -> bool {
        let enrolled = matches!(self.lifecycle, NodeLifecycle::Verifying | NodeLifecycle::Ready);
        let same = self.address == address && self.port == port && self.host_keys == host_keys;
        enrolled && same && self.policy != Policy::Retired && at < self.token_expires_at
    }

    /// Whether anybody may log in to it for Cairn.
    #[must_use]
    pub const fn may_be_reached(&self) -> bool {
        matches!(self.lifecycle, NodeLifecycle::Verifying | NodeLifecycle::Ready)
    }

    pub(crate) fn invite(
        &self,
        node_id: NodeId,
        name: String,
        token_sha256: String,
        expires_at: Timestamp,
        at: Timestamp,
    ) -> Result<Vec<NodeEvent>, NodeError> {
        check_name(&name)?;
        if self.policy == Policy::Retired {
            return Err(NodeError::Retired);
        }
        match self.lifecycle {
            NodeLifecycle::Invited if self.token_sha256.as_ref() == Some(&token_sha256) => {
                Ok(vec![])
            }
            NodeLifecycle::Verifying | NodeLifecycle::Ready => {
                Err(NodeError::WrongLifecycle(self.lifecycle))
            }
            NodeLifecycle::Unknown
            | NodeLifecycle::Invited
            | NodeLifecycle::Expired
            | NodeLifecycle::Quarantined => {
                Ok(vec![NodeEvent::Invited { node_id, name, token_sha256, expires_at, at }])
            }
        }
    }

    pub(crate) fn expire_invitation(&self, at: Timestamp) -> Vec<NodeEvent> {
        let over = self.lifecycle == NodeLifecycle::Invited && at >= self.token_expires_at;
        if over { vec![NodeEvent::InvitationExpired { at }] } else { vec![] }
    }

    pub(crate) fn may_enrol(
        &self,
        token: &str,
        host_keys: &[HostKey],
        at: Timestamp,
    ) -> Result<(), NodeError> {
        self.check_token(token, at)?;
        if host_keys.is_empty() { Err(NodeError::NoHostKey) } else { Ok(()) }
    }

    pub(crate) fn record_probe(
        &self,
        failure: Option<String>,
        at: Timestamp,
    ) -> Result<Vec<NodeEvent>, NodeError> {
        match (self.lifecycle, failure) {
            (NodeLifecycle::Verifying, None) => Ok(vec![NodeEvent::ProbePassed { at }]),
            (NodeLifecycle::Verifying, Some(reason)) => {
                let mut events = vec![NodeEvent::ProbeFailed { reason: reason.clone(), at }];
                if self.probe_failures + 1 >= PROBES_MAX {
                    events.push(NodeEvent::Quarantined { reason, at });
                }
                Ok(events)
            }
            (NodeLifecycle::Ready, _) => Ok(vec![]),
            (lifecycle, _) => Err(NodeError::WrongLifecycle(lifecycle)),
        }
    }
}
