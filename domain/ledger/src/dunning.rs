//! Dunning: how long the money of a wallet still lasts, and what follows when it does not.
//!
//! Lifecycle: `ok → low → grace → suspended → retention → released`, and from each of them back to `ok` when there is money again. Who looks
//! at the wallet brings the facts; what they mean is decided here.
//! Invariants: a stage and a step of the runway are told once; nothing is said to be suspended that no node has confirmed; data is given up
//! only after the whole of both periods, and never while there is money to go on.
use cairn_core::{
    Currency, Decider, Nanos, OrganisationId, Refusal, Subject, Text, Texts, Timestamp,
    cqrs_aggregate, domain_event,
};
use serde::{Deserialize, Serialize};

/// The steps of the runway that are told, in hours.
pub const NOTICE_HOURS: [u32; 3] = [2, 24, 72];

/// Where a wallet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It lasts for more than three days, or nothing is rented.
    #[default]
    Ok,
    /// It lasts for three days at most.
    Low,
    /// It is empty: what runs, runs on what was set aside.
    Grace,
    /// Nothing runs; the data is kept.
    Suspended,
    /// The same, and the day on which the data goes is set.
    Retention,
    /// The data is given up.
    Released,
}

impl Stage {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Low => "low",
            Self::Grace => "grace",
            Self::Suspended => "suspended",
            Self::Retention => "retention",
            Self::Released => "released",
        }
    }
}

/// What somebody who looked has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assessment {
    /// Whose wallet.
    pub organisation_id: OrganisationId,
    /// Its currency.
    pub currency: Currency,
    /// What is in it, what is set aside included.
    pub funds_nanos: Nanos,
    /// What everything that runs costs in an hour.
    pub nanos_per_hour: Nanos,
    /// For how long the funds pay for it, where a price has tiers ahead and the hour alone does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts_secs: Option<i64>,
    /// How many rentals run, or are being stopped.
    pub running: u32,
    /// How many are suspended, confirmed by their nodes, because they are not paid for.
    pub suspended: u32,
    /// More was to be set aside for one that runs, and there was nothing.
    pub refused: bool,
    /// How long they stay suspended before the end is announced.
    pub suspended_secs: i64,
    /// How long the data is kept after that.
    pub retention_secs: i64,
    /// When.
    pub at: Timestamp,
}

/// What has happened to a wallet's dunning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum DunningEvent {
    /// It stands elsewhere now. `until` is when it moves on by itself.
    #[serde(rename = "dunning.stage_changed")]
    StageChanged { from: Stage, to: Stage, until: Option<Timestamp>, seen: Assessment },
    /// The money lasts for fewer than so many hours, or for more than all of [`NOTICE_HOURS`] again.
    #[serde(rename = "dunning.runway_crossed")]
    RunwayCrossed {
        from_hours: Option<u32>,
        to_hours: Option<u32>,
        runs_out_at: Option<Timestamp>,
        seen: Assessment,
    },
}

domain_event!(DunningEvent {
    StageChanged => "dunning.stage_changed", 1;
    RunwayCrossed => "dunning.runway_crossed", 1;
});

impl Texts for DunningEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("from", Text::Kept),
        ("to", Text::Kept),
        ("until", Text::Kept),
        ("runs_out_at", Text::Kept),
        ("seen.organisation_id", Text::Kept),
        ("seen.currency", Text::Kept),
        ("seen.at", Text::Kept),
    ];
}

/// What may be asked of a wallet's dunning.
#[derive(Debug, Clone)]
pub enum DunningCommand {
    /// Decides what follows from what was seen.
    Assess(Assessment),
}

/// Why it refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DunningError {
    /// The facts are of another wallet.
    #[error("the id was used before for something else")]
    IdReused,
}

impl Refusal for DunningError {
    fn code(&self) -> &'static str {
        match self {
            Self::IdReused => "id_reused",
        }
    }
}

/// What is remembered of a wallet's dunning.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Dunning {
    pub owner: Option<(OrganisationId, Currency)>,
    pub stage: Stage,
    /// When the stage moves on by itself.
    pub until: Option<Timestamp>,
    /// What was in the wallet when the stage began.
    pub funds_nanos: Nanos,
    /// The step of the runway that was told last.
    pub hours: Option<u32>,
}

impl Decider for Dunning {
    const TYPE: &'static str = "dunning";
    type Command = DunningCommand;
    type Event = DunningEvent;
    type Error = DunningError;

    fn decide(&self, command: DunningCommand) -> Result<Vec<DunningEvent>, DunningError> {
        let DunningCommand::Assess(seen) = command;
        if self.owner.is_some_and(|owner| owner != (seen.organisation_id, seen.currency)) {
            return Err(DunningError::IdReused);
        }
        Ok(self.runway(&seen).into_iter().chain(self.stage(&seen)).collect())
    }

    fn evolve(mut self, event: DunningEvent) -> Self {
        match event {
            DunningEvent::StageChanged { to, until, seen, .. } => {
                self.owner = Some((seen.organisation_id, seen.currency));
                (self.stage, self.until, self.funds_nanos) = (to, until, seen.funds_nanos);
            }
            DunningEvent::RunwayCrossed { to_hours, seen, .. } => {
                self.owner = Some((seen.organisation_id, seen.currency));
                self.hours = to_hours;
            }
        }
        self
    }

    fn subject(&self) -> Option<Subject> {
        self.owner.map(|(organisation_id, _)| Subject::organisation(organisation_id))
    }
}

cqrs_aggregate!(Dunning);

/// Seconds until money is spent at a rate; none when nothing is spent, or it lasts longer than can be counted.
#[must_use]
pub fn runway_secs(funds_nanos: Nanos, nanos_per_hour: Nanos) -> Option<i64> {
    if nanos_per_hour <= 0 {
        return None;
    }
    let seconds = i128::from(funds_nanos.max(0)) * 3_600 / i128::from(nanos_per_hour);
    i64::try_from(seconds).ok().filter(|seconds| *seconds < LONGEST_SECS)
}

impl Assessment {
    fn runway_secs(&self) -> Option<i64> {
        let by_the_hour = || runway_secs(self.funds_nanos, self.nanos_per_hour);
        self.lasts_secs.map_or_else(by_the_hour, |seconds| {
            Some(seconds).filter(|seconds| *seconds < LONGEST_SECS)
        })
    }
}

/// A century: what lasts longer has no day on which it ends.
const LONGEST_SECS: i64 = 100 * 365 * 86_400;

impl Dunning {
    /// A step down is told as soon as it is reached. A step up only when a tenth more than the step is there, so that a price or a payment that
    /// comes and goes is not told each time.
    fn runway(&self, seen: &Assessment) -> Option<DunningEvent> {
        let runway = seen.runway_secs();
        let step = |tenths: i64| {
            let within =
                |hours: &u32| runway.is_some_and(|secs| secs <= i64::from(*hours) * 360 * tenths);
            NOTICE_HOURS.into_iter().find(within)
        };
        let rank = |hours: Option<u32>| hours.unwrap_or(u32::MAX);
        let (down, up) = (step(10), step(11));
        let to_hours = if rank(down) < rank(self.hours) {
            down
        } else if seen.running == 0 && seen.suspended > 0 {
            self.hours
        } else if rank(up) > rank(self.hours) {
            up
        } else {
            self.hours
        };
        (to_hours != self.hours).then(|| DunningEvent::RunwayCrossed {
            from_hours: self.hours,
            to_hours,
            runs_out_at: runway.map(|seconds| seen.at.plus_secs(seconds)),
            seen: *seen,
        })
    }

    fn stage(&self, seen: &Assessment) -> Option<DunningEvent> {
        let over = self.until.is_some_and(|until| seen.at >= until);
        let (to, until) = match self.stage {
            Stage::Suspended if seen.suspended > 0 && over => {
                (Stage::Retention, Some(seen.at.plus_secs(seen.retention_secs)))
            }
            Stage::Retention if seen.suspended > 0 && over => (Stage::Released, None),
            stage @ (Stage::Suspended | Stage::Retention | Stage::Released)
                if seen.suspended > 0 =>
            {
                (stage, self.until)
            }
            // It stays told until somebody pays or rents again.
            Stage::Released if seen.running == 0 && seen.funds_nanos <= self.funds_nanos => {
                (Stage::Released, None)
            }
            Stage::Ok
            | Stage::Low
            | Stage::Grace
            | Stage::Suspended
            | Stage::Retention
            | Stage::Released => self.by_what_is_seen(seen),
        };
        (to != self.stage).then_some(DunningEvent::StageChanged {
            from: self.stage,
            to,
            until,
            seen: *seen,
        })
    }

    fn by_what_is_seen(&self, seen: &Assessment) -> (Stage, Option<Timestamp>) {
        let runway = seen.runway_secs();
        let longest = i64::from(NOTICE_HOURS[NOTICE_HOURS.len() - 1]) * 3_600;
        if seen.suspended > 0 {
            (Stage::Suspended, Some(seen.at.plus_secs(seen.suspended_secs)))
        } else if seen.running > 0 && seen.refused {
            (Stage::Grace, None)
        } else if runway.is_some_and(|seconds| seconds <= longest) {
            (Stage::Low, None)
        } else {
            (Stage::Ok, None)
        }
    }
}
