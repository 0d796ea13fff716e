//! Keeping a payment method: the provider keeps what an organisation pays with, so that it can be charged without anybody being there.
//!
//! | event | intent | compensation |
//! |---|---|---|
//! | `payment_method.requested` | effect `create_setup`; timer `poll` | – |
//! | `poll` | effect `retrieve_setup` until it is final; after a day the last one, which ends it | – |
//! | `payment_method.saved` | – (the timer ends) | `detach_method`, once it is removed |
//! | `payment_method.failed` | – | – |
//! | `payment_method.removed` | effect `detach_method` | – |
//! | `payment_method.detached` | – | – |
//!
//! Webhooks only make it faster: they retrieve it too. A success overrides an earlier failure.
use cairn_core::{OrganisationId, PaymentMethodId, Timestamp};
use cairn_payments::MethodEvent;
use serde::{Deserialize, Serialize};

use super::fact::{Fact, Occurrence};
use super::intent::{Effect, Intent, Timer};
use super::manager::{Alarm, Awoken, ProcessManager, Settings, Status};

/// How long a customer may take to choose a method and prove that it is theirs.
const CHOOSE_SECS: i64 = 86_400;

/// The process manager.
#[derive(Debug)]
pub struct SaveMethod;

/// Where the keeping of a method stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Phase {
    #[default]
    Idle,
    Requested,
    Submitted,
    Saved,
    Failed,
    Removed,
    Detached,
}

/// What is remembered of a method.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct State {
    pub phase: Phase,
    pub method: Option<(OrganisationId, PaymentMethodId)>,
    pub requested_at: Timestamp,
}

const fn method_of(event: &MethodEvent) -> Option<PaymentMethodId> {
    match event {
        MethodEvent::Requested { method_id, .. }
        | MethodEvent::Submitted { method_id, .. }
        | MethodEvent::Saved { method_id, .. }
        | MethodEvent::Failed { method_id, .. }
        | MethodEvent::Removed { method_id, .. }
        | MethodEvent::Detached { method_id, .. } => Some(*method_id),
        MethodEvent::CustomerMade { .. } | MethodEvent::MadeDefault { .. } => None,
    }
}

impl ProcessManager for SaveMethod {
    const NAME: &'static str = "save_method";
    const READS: &'static [&'static str] = &["payment_methods"];
    type State = State;

    fn correlate(happened: &Occurrence) -> Option<String> {
        match &happened.fact {
            Fact::Method(event) => method_of(event).map(|id| id.to_string()),
            _ => None,
        }
    }

    fn evolve(mut state: State, happened: &Occurrence) -> State {
        let Fact::Method(event) = &happened.fact else { return state };
        match event {
            MethodEvent::Requested { method_id, organisation_id, at, .. } => {
                state.phase = Phase::Requested;
                state.method = Some((*organisation_id, *method_id));
                state.requested_at = *at;
            }
            MethodEvent::Submitted { .. } => state.phase = Phase::Submitted,
            MethodEvent::Saved { .. } => state.phase = Phase::Saved,
            MethodEvent::Failed { .. } => state.phase = Phase::Failed,
            MethodEvent::Removed { .. } => {
                // The provider keeps nothing of what failed.
                let kept = state.phase != Phase::Failed;
                state.phase = if kept { Phase::Removed } else { Phase::Failed };
            }
            MethodEvent::Detached { .. } => state.phase = Phase::Detached,
            MethodEvent::CustomerMade { .. } | MethodEvent::MadeDefault { .. } => {}
        }
        state
    }

    fn react(state: &State, happened: &Occurrence, settings: &Settings) -> Vec<Intent> {
        let Fact::Method(event) = &happened.fact else { return vec![] };
        let Some((organisation_id, method_id)) = state.method else { return vec![] };
        match event {
            MethodEvent::Requested { at, .. } => vec![
                Intent::effect(
                    Effect::CreateSetup { organisation_id, method_id },
                    Some(at.plus_secs(settings.provider_seconds)),
                ),
                Intent::timer(Timer::Poll, at.plus_secs(settings.poll_wait(0))),
            ],
            MethodEvent::Removed { .. } if state.phase == Phase::Removed => {
                vec![Intent::effect(Effect::DetachMethod { organisation_id, method_id }, None)]
            }
            MethodEvent::Removed { .. }
            | MethodEvent::CustomerMade { .. }
            | MethodEvent::Submitted { .. }
            | MethodEvent::Saved { .. }
            | MethodEvent::Failed { .. }
            | MethodEvent::MadeDefault { .. }
            | MethodEvent::Detached { .. } => vec![],
        }
    }

    fn due(state: &State, alarm: Alarm, settings: &Settings) -> Awoken {
        let Some((organisation_id, method_id)) = state.method else { return Awoken::default() };
        let last = alarm.at.secs_since(state.requested_at) > CHOOSE_SECS;
        let again_at = (!last).then(|| alarm.at.plus_secs(settings.poll_wait(alarm.run + 1)));
        match state.phase {
            Phase::Idle | Phase::Saved | Phase::Failed | Phase::Removed | Phase::Detached => {
                Awoken::default()
            }
            Phase::Requested if !last => Awoken { intents: vec![], again_at },
            Phase::Requested | Phase::Submitted => {
                let retrieve = Effect::RetrieveSetup { organisation_id, method_id, last };
                Awoken { intents: vec![Intent::effect(retrieve, None)], again_at }
            }
        }
    }

    fn status(state: &State) -> Status {
        match state.phase {
            Phase::Idle => Status::Waiting,
            Phase::Requested | Phase::Submitted | Phase::Removed => Status::Running,
            Phase::Saved | Phase::Detached => Status::Done,
            Phase::Failed => Status::Unwound,
        }
    }
}
