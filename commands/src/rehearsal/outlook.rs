//! What a rehearsal comes to, read from its events: what it costs, what stops, what starts again, what is kept, what is deleted.
use cairn_compute::{Allocation, AllocationEvent, ReleaseReason, SuspensionReason};
use cairn_core::Timestamp;
use cairn_event_log::Recorded;
use cairn_fleet::{NodeEvent, Policy};
use serde_json::Value;

use super::money::{Costs, Sum, runs};
use super::play::Rehearsal;
use crate::ExecuteError;
use crate::processes::{Fact, Occurrence};

/// What would come of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Outlook {
    /// When it was looked.
    pub at: Timestamp,
    /// Position of the log that it is about.
    pub position: i64,
    /// What it costs, when money is concerned.
    pub costs: Option<Costs>,
    pub stops: Vec<Affected>,
    pub starts: Vec<Affected>,
    pub keeps: Vec<Affected>,
    pub deletes: Vec<Affected>,
}

/// What something is that a wish has an effect on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Allocation,
    /// What is on an allocation's node: files, account, login.
    Data,
    Node,
    Sku,
    ApiKey,
    ServiceAccount,
    Project,
    Member,
    Organisation,
    Person,
    WebhookEndpoint,
    PaymentMethod,
    FeatureFlag,
}

/// An event after which something has ended for good, whatever else it says.
struct End {
    event: &'static str,
    kind: Kind,
    why: &'static str,
    is_deleted: bool,
    /// The member of the event that names it, where that is not its stream.
    which: &'static str,
    /// The member that says when, where that is not at once.
    when: &'static str,
}

const fn end(event: &'static str, kind: Kind, why: &'static str) -> End {
    End { event, kind, why, is_deleted: false, which: "", when: "" }
}

const ENDS: &[End] = &[
    end("sku.retired", Kind::Sku, "retired"),
    end("api_key.revoked", Kind::ApiKey, "revoked"),
    End {
        which: "service_account_id",
        ..end("organisation.service_account_removed", Kind::ServiceAccount, "removed")
    },
    End { which: "project_id", ..end("organisation.project_archived", Kind::Project, "archived") },
    End { which: "user_id", ..end("organisation.member_left", Kind::Member, "removed") },
    end("organisation.suspended", Kind::Organisation, "suspended"),
    end("feature_flag.archived", Kind::FeatureFlag, "archived"),
    End { is_deleted: true, ..end("webhook_endpoint.deleted", Kind::WebhookEndpoint, "deleted") },
    End {
        is_deleted: true,
        which: "method_id",
        ..end("payment_method.removed", Kind::PaymentMethod, "removed")
    },
    End {
        is_deleted: true,
        when: "due_at",
        ..end("user.erasure_requested", Kind::Person, "erased")
    },
];

impl Kind {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allocation => "allocation",
            Self::Data => "data",
            Self::Node => "node",
            Self::Sku => "sku",
            Self::ApiKey => "api_key",
            Self::ServiceAccount => "service_account",
            Self::Project => "project",
            Self::Member => "member",
            Self::Organisation => "organisation",
            Self::Person => "person",
            Self::WebhookEndpoint => "webhook_endpoint",
            Self::PaymentMethod => "payment_method",
            Self::FeatureFlag => "feature_flag",
        }
    }
}

/// Something that a wish has an effect on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affected {
    /// What it is.
    pub kind: Kind,
    /// Its id; of data, the allocation's.
    pub id: String,
    /// Stable word for why.
    pub why: &'static str,
    /// When it stops, starts or is deleted.
    pub at: Option<Timestamp>,
    /// Until when it is kept, when that is known.
    pub until: Option<Timestamp>,
}

impl Affected {
    fn at(kind: Kind, id: &str, (why, at): (&'static str, Timestamp)) -> Self {
        Self { kind, id: id.to_owned(), why, at: Some(at), until: None }
    }
}

impl Outlook {
    pub(super) fn new(played: &Rehearsal) -> Self {
        let (at, position) = (played.imagined.now(), played.imagined.head());
        let (stops, starts, keeps, deletes) = (vec![], vec![], vec![], vec![]);
        Self { at, position, costs: None, stops, starts, keeps, deletes }
    }

    /// Reads what was imagined from a number on. Answers what it moves.
    pub(super) async fn read(
        &mut self,
        played: &Rehearsal,
        from: usize,
    ) -> Result<Sum, ExecuteError> {
        let mut sum = Sum::default();
        for number in from..played.imagined.count() {
            let Some(recorded) = played.imagined.get(number) else { continue };
            self.note_end(&recorded)?;
            let happened = Occurrence::read(&recorded)?;
            let rental = match &happened.fact {
                Fact::Allocation(
                    AllocationEvent::Rejected { code, message, .. }
                    | AllocationEvent::ResizeFailed { code, message, .. },
                ) => {
                    let (code, message) = (code.clone(), message.clone());
                    return Err(ExecuteError::Refused { code, message, replayed: false });
                }
                Fact::Allocation(_) => Some(rental(played, &happened.stream).await?),
                _ => None,
            };
            sum.add(&happened, rental.as_ref());
            self.note(&happened, rental.as_ref(), played);
        }
        Ok(sum)
    }

    /// Something else that is over.
    fn note_end(&mut self, recorded: &Recorded) -> Result<(), ExecuteError> {
        let found = ENDS.iter().find(|end| end.event == recorded.event_type);
        let Some(End { kind, why, is_deleted, which, when, .. }) = found else { return Ok(()) };
        let payload = recorded.payload.read::<Value>();
        let payload = payload.map_err(|error| ExecuteError::Internal(error.to_string()))?;
        let said = |member: &str| payload.get(member).and_then(Value::as_str);
        let id = said(which).unwrap_or(&recorded.aggregate_id);
        let at = said(when).and_then(|at| at.parse().ok()).unwrap_or(recorded.recorded_at);
        let ended = Affected::at(*kind, id, (why, at));
        if *is_deleted {
            self.deletes.push(ended)
        } else {
            self.stops.push(ended)
        }
        Ok(())
    }

    fn note(&mut self, happened: &Occurrence, rental: Option<&Allocation>, played: &Rehearsal) {
        let id = &happened.stream;
        match &happened.fact {
            Fact::Allocation(AllocationEvent::ReleaseRequested { reason, at }) => {
                let why = match reason {
                    ReleaseReason::Customer => "customer",
                    ReleaseReason::Operator => "operator",
                    ReleaseReason::FundsExhausted => "funds_exhausted",
                };
                if rental.is_some_and(|rental| runs(rental.status)) {
                    self.stops.push(Affected::at(Kind::Allocation, id, (why, *at)));
                }
                self.deletes.push(Affected::at(Kind::Data, id, (why, *at)));
            }
            Fact::Allocation(AllocationEvent::SuspensionRequested { reason, at }) => {
                let settings = &played.settings;
                let kept = settings.suspended_seconds + settings.retention_seconds;
                let (why, until) = match reason {
                    SuspensionReason::FundsExhausted => {
                        ("funds_exhausted", Some(at.plus_secs(kept)))
                    }
                    SuspensionReason::SpendingLimit => ("spending_limit", None),
                    SuspensionReason::Resize => ("resize", None),
                };
                self.stops.push(Affected::at(Kind::Allocation, id, (why, *at)));
                let kept = Affected { until, at: None, ..Affected::at(Kind::Data, id, (why, *at)) };
                self.keeps.push(kept);
            }
            Fact::Allocation(AllocationEvent::ResumeRequested { at }) => {
                self.starts.push(Affected::at(Kind::Allocation, id, ("funds_available", *at)));
            }
            Fact::Node(NodeEvent::PolicyChanged { policy, at, .. }) => match policy {
                Policy::Retired => self.stops.push(Affected::at(Kind::Node, id, ("retired", *at))),
                Policy::Schedulable | Policy::Cordoned | Policy::Draining => {}
            },
            _ => {}
        }
    }
}

/// A rental as it is; a new one as it would be.
async fn rental(played: &Rehearsal, id: &str) -> Result<Allocation, ExecuteError> {
    let (truth, _) = played.truth.executor.load::<Allocation>(id).await?;
    if truth.allocation_id.is_some() {
        return Ok(truth);
    }
    Ok(played.commands.executor.load(id).await?.0)
}
