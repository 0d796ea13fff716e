//! Forgetting a customer: who is erased here is deleted at the payment provider too, with whatever is kept for them.
//!
//! | event | intent | compensation |
//! |---|---|---|
//! | `payment_method.customer_made` | –; `delete_customer` when the organisation is erased already | – |
//! | `subject.erasure_begun`, of an organisation that is a customer | effect `delete_customer` | none: it is for good |
use cairn_core::OrganisationId;
use cairn_identity::ErasureEvent;
use cairn_payments::MethodEvent;
use serde::{Deserialize, Serialize};

use super::fact::{Fact, Occurrence};
use super::intent::{Effect, Intent};
use super::manager::{Alarm, Awoken, ProcessManager, Settings, Status};

/// The process manager.
#[derive(Debug)]
pub struct ForgetCustomer;

/// What is remembered of an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct State {
    /// What the provider calls it.
    pub customer_id: Option<String>,
    pub erased: bool,
}

impl ProcessManager for ForgetCustomer {
    const NAME: &'static str = "forget_customer";
    const READS: &'static [&'static str] = &["payment_methods", "subject"];
    type State = State;

    fn correlate(happened: &Occurrence) -> Option<String> {
        match &happened.fact {
            Fact::Method(MethodEvent::CustomerMade { .. }) => Some(happened.stream.clone()),
            Fact::Erasure(ErasureEvent::Begun { subject, .. }) => {
                let organisation_id: OrganisationId = subject.id().parse().ok()?;
                Some(organisation_id.to_string())
            }
            _ => None,
        }
    }

    fn evolve(mut state: State, happened: &Occurrence) -> State {
        match &happened.fact {
            Fact::Method(MethodEvent::CustomerMade { customer_id, .. }) => {
                state.customer_id = Some(customer_id.clone());
            }
            Fact::Erasure(ErasureEvent::Begun { .. }) => state.erased = true,
            _ => {}
        }
        state
    }

    /// Either event may come first: a customer can be on its way while its organisation is erased.
    fn react(state: &State, happened: &Occurrence, _: &Settings) -> Vec<Intent> {
        let organisation_id = Self::correlate(happened).and_then(|id| id.parse().ok());
        match (organisation_id, &state.customer_id) {
            (Some(organisation_id), Some(customer_id)) if state.erased => {
                let customer_id = customer_id.clone();
                let delete = Effect::DeleteCustomer { organisation_id, customer_id };
                vec![Intent::effect(delete, None)]
            }
            _ => vec![],
        }
    }

    fn due(_: &State, _: Alarm, _: &Settings) -> Awoken {
        Awoken::default()
    }

    fn status(state: &State) -> Status {
        match (&state.customer_id, state.erased) {
            (Some(_), true) => Status::Done,
            (None, _) | (Some(_), false) => Status::Waiting,
        }
    }
}
