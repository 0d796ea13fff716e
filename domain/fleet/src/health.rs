//! Health of a node: judged by what is in use on it, with hysteresis, so that a moment's load does not move it.
//!
//! `ok → degraded` when an observation and the one before it are high; `degraded → ok` when all have been low for a while. Measured use
//! never changes what is free: capacity is reserved, not measured.
use cairn_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::events::NodeEvent;
use crate::node::{Link, Node, NodeLifecycle};

/// From this much on, in thousandths, an observation is high.
pub const HIGH_PERMILLE: u16 = 900;
/// Up to this much, in thousandths, an observation is low.
pub const LOW_PERMILLE: u16 = 850;
/// How long all must have been low before a degraded node is taken for healthy.
pub const RECOVERY_SECONDS: i64 = 300;

/// How a node fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// There is air.
    #[default]
    Ok,
    /// Cpu, memory or disk is nearly used up: nothing new is put here.
    Degraded,
}

/// What is in use on a node, in thousandths of what it has. Load may exceed a thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Usage {
    pub cpu_permille: u16,
    pub memory_permille: u16,
    /// Of the file system that holds the homes.
    pub disk_permille: u16,
}

impl Usage {
    fn highest(self) -> u16 {
        self.cpu_permille.max(self.memory_permille).max(self.disk_permille)
    }

    /// Whether it speaks against a health.
    fn contradicts(self, health: Health) -> bool {
        match health {
            Health::Ok => self.highest() >= HIGH_PERMILLE,
            Health::Degraded => self.highest() <= LOW_PERMILLE,
        }
    }

    fn reason(self) -> String {
        let Self { cpu_permille, memory_permille, disk_permille } = self;
        format!("in use: cpu {cpu_permille} ‰, memory {memory_permille} ‰, disk {disk_permille} ‰")
    }
}

impl Node {
    /// The first observation against its health is noted, the next one or the one after a while changes it. One in its favour ends the doubt.
    pub(crate) fn observe_usage(&self, usage: Usage, at: Timestamp) -> Vec<NodeEvent> {
        if self.lifecycle != NodeLifecycle::Ready || self.link != Link::Online {
            return vec![];
        }
        let long = |since| match self.health {
            Health::Ok => true,
            Health::Degraded => at.secs_since(since) >= RECOVERY_SECONDS,
        };
        match (usage.contradicts(self.health), self.doubted_since) {
            (false, None) => vec![],
            (doubted, since) if doubted != since.is_some() => {
                vec![NodeEvent::HealthDoubted { doubted, reason: usage.reason(), at }]
            }
            (_, Some(since)) if long(since) => {
                let health = match self.health {
                    Health::Ok => Health::Degraded,
                    Health::Degraded => Health::Ok,
                };
                vec![NodeEvent::HealthChanged { health, reason: usage.reason(), at }]
            }
            _ => vec![],
        }
    }
}
