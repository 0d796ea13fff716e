//! The rows of the saga matrix: every intent of every process, in a story in which it is wanted.
use cairn_commands::processes::{Command, Effect, Timer};
use cairn_compute::Step;

use super::faults::{AT_PORTS, Mode};

/// Which way the story goes before the fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Story {
    /// Top up, rent, use, release, refund.
    Rental,
    /// The same, but provisioning fails at `limits` and is undone.
    FailingRental,
    /// Capacity and money are there, and nobody confirms it in time.
    LateReservation,
    /// A step never answers until the time for provisioning is over.
    LateProvisioning,
    /// Provisioning fails, and the node does not answer while it is undone.
    StuckUndo,
    /// The node does not answer while the rental is released.
    StuckRelease,
    /// The wallet cannot pay for the first hour.
    TooPoor,
    /// The wallet runs dry while the rental runs.
    Exhausted,
    /// The rental is suspended, and there is money to go on.
    Suspension,
    /// What was used is given back by a credit note.
    Credited,
    /// Some of what was metered is taken back after the release.
    Corrected,
    /// The same, of what is on an invoice.
    CorrectedInvoice,
    /// The refund fails at the provider.
    FailingRefund,
    /// The node is drained, which ends the rental.
    Drain,
    /// A node enrols and is watched.
    Enrolment,
    /// A node is invited and does not come.
    Invitation,
    /// Money is held and nobody asks for it.
    UnusedHold,
    /// Credit is given and nobody uses it.
    UnusedCredit,
    /// Somebody registers, and a code is sent to them.
    Letter,
    /// A payment is disputed, and the customer wins.
    WonDispute,
    /// A payment is disputed, and the customer loses.
    LostDispute,
    /// An empty wallet is filled by itself.
    Filled,
    /// The card of a wallet that is to be filled is declined.
    Declined,
}

impl Story {
    pub const ALL: [Self; 23] = [
        Self::Rental,
        Self::FailingRental,
        Self::LateReservation,
        Self::LateProvisioning,
        Self::StuckUndo,
        Self::StuckRelease,
        Self::TooPoor,
        Self::Exhausted,
        Self::Suspension,
        Self::Credited,
        Self::Corrected,
        Self::CorrectedInvoice,
        Self::FailingRefund,
        Self::Drain,
        Self::Enrolment,
        Self::Invitation,
        Self::UnusedHold,
        Self::UnusedCredit,
        Self::Letter,
        Self::WonDispute,
        Self::LostDispute,
        Self::Filled,
        Self::Declined,
    ];

    /// What is broken before the rental is asked for, whatever else goes wrong.
    pub const fn broken(self) -> &'static [(&'static str, Mode)] {
        match self {
            Self::FailingRental => &[("ensure_limits", Mode::Permanent)],
            Self::LateReservation => &[("confirm_reserved", Mode::Forever)],
            Self::LateProvisioning => &[("ensure_limits", Mode::Forever)],
            Self::StuckUndo => &[("ensure_limits", Mode::Permanent), ("tear_down", Mode::Forever)],
            Self::StuckRelease => &[("tear_down", Mode::Forever)],
            Self::Rental
            | Self::TooPoor
            | Self::Exhausted
            | Self::Suspension
            | Self::Credited
            | Self::Corrected
            | Self::CorrectedInvoice
            | Self::FailingRefund
            | Self::Drain
            | Self::Enrolment
            | Self::Invitation
            | Self::UnusedHold
            | Self::UnusedCredit
            | Self::Letter
            | Self::WonDispute
            | Self::LostDispute
            | Self::Filled
            | Self::Declined => &[],
        }
    }
}

impl Story {
    /// What stays broken, also when an operator is called for it, until the story has gone its way.
    pub fn bears(self, name: &str) -> bool {
        self == Self::LateReservation && name == "confirm_reserved"
    }
}

/// One cell of the matrix.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    pub story: Story,
    /// Name of the intent that goes wrong.
    pub target: &'static str,
    pub mode: Mode,
}

/// Every intent of the story that succeeds, in order.
const RENTAL: [&str; 24] = [
    "create_payment",
    "retrieve_payment",
    "poll",
    "top_up_wallet",
    "reserve_capacity",
    "hold_funds",
    "confirm_reserved",
    "start_provisioning",
    "ensure_uid",
    "ensure_home",
    "ensure_user",
    "ensure_limits",
    "ensure_access",
    "ensure_prove",
    "activate",
    "meter_tick",
    "capture_usage",
    "tear_down",
    "settle_usage",
    "release_capacity",
    "confirm_released",
    "request_refund",
    "create_refund",
    "retrieve_refund",
];

/// Every intent of the others.
const OTHERS: [(Story, &str); 45] = [
    (Story::FailingRental, "tear_down"),
    (Story::FailingRental, "release_hold"),
    (Story::FailingRental, "confirm_failed"),
    (Story::LateReservation, "reserve_deadline"),
    (Story::LateReservation, "reject_allocation"),
    (Story::LateReservation, "release_hold"),
    (Story::LateProvisioning, "provision_deadline"),
    (Story::LateProvisioning, "fail_provisioning"),
    (Story::StuckUndo, "undo_deadline"),
    (Story::StuckUndo, "quarantine_capacity"),
    (Story::StuckUndo, "call_operator"),
    (Story::StuckRelease, "undo_deadline"),
    (Story::StuckRelease, "settle_usage"),
    (Story::TooPoor, "release_capacity"),
    (Story::Exhausted, "request_suspension"),
    (Story::Suspension, "suspend_tenant"),
    (Story::Suspension, "resume_tenant"),
    (Story::Suspension, "turn_deadline"),
    (Story::Suspension, "assess_funds_of"),
    (Story::Suspension, "assessment"),
    (Story::Suspension, "assess_funds"),
    (Story::Credited, "credit_usage"),
    (Story::Corrected, "correct_charge"),
    (Story::CorrectedInvoice, "issue_note"),
    (Story::FailingRefund, "return_refund"),
    (Story::Drain, "drain_deadline"),
    (Story::Drain, "request_release"),
    (Story::Enrolment, "watch"),
    (Story::Enrolment, "watch_node"),
    (Story::Enrolment, "compare_inventory"),
    (Story::Invitation, "invitation_deadline"),
    (Story::Invitation, "expire_invitation"),
    (Story::UnusedHold, "hold_expiry"),
    (Story::UnusedHold, "sweep_holds"),
    (Story::UnusedCredit, "credit_expiry"),
    (Story::Letter, "send_mail"),
    (Story::WonDispute, "hold_disputed"),
    (Story::WonDispute, "retrieve_dispute"),
    (Story::WonDispute, "release_disputed"),
    (Story::LostDispute, "lose_disputed"),
    (Story::Filled, "look_at_wallet"),
    (Story::Filled, "request_top_up"),
    (Story::Filled, "succeed_top_up"),
    (Story::Filled, "top_up_again"),
    (Story::Declined, "decline_top_up"),
];

/// The verification of a node is the first thing in it, so it has a row of its own.
const PROBE: (Story, &str) = (Story::Enrolment, "probe_node");

/// Every row.
pub fn rows() -> Vec<(Story, &'static str)> {
    let rental = RENTAL.map(|target| (Story::Rental, target));
    rental.into_iter().chain(OTHERS).chain([PROBE]).collect()
}

/// What payments that wait and the keeping of methods want: no rental is about it. Their faults are tried in `processes_methods`.
const OF_METHODS: [&str; 5] =
    ["cancel_payment", "create_setup", "retrieve_setup", "detach_method", "delete_customer"];

/// What a change of size wants. Its faults are tried in `processes_resize`.
const OF_RESIZES: [&str; 2] = ["reserve_resize", "settle_resize"];

/// What the late proof of an outage wants. Its faults are tried in `processes_meter`.
const OF_OUTAGES: [&str; 2] = ["charge_late", "review_late"];

/// Every name that an intent of a process can have; the runtime's own is `read_event`.
pub fn every_name() -> Vec<String> {
    let beside = [&OF_METHODS[..], &OF_RESIZES, &OF_OUTAGES].concat();
    let told = |name: &&&str| !beside.contains(*name);
    let effects = Effect::NAMES.iter().filter(|name| **name != "ensure_step");
    let commands = Command::NAMES.iter().filter(|name| **name != "read_event");
    let names = commands.chain(effects).chain(Timer::NAMES).filter(told);
    let steps = Step::ALL.into_iter().map(|step| format!("ensure_{}", step.name()));
    names.map(|name| (*name).to_owned()).chain(steps).collect()
}

/// Effects that touch the outside, or more than one stream: something can be done and not yet recorded.
pub fn has_a_middle(name: &str) -> bool {
    at_port(name) || MORE_THAN_ONE_STREAM.contains(&name)
}

pub const MORE_THAN_ONE_STREAM: [&str; 3] = ["capture_usage", "settle_usage", "charge_late"];

pub fn at_port(name: &str) -> bool {
    AT_PORTS.contains(&name) || name.starts_with("ensure_")
}

/// The cells of one way to go wrong.
pub fn cells(mode: Mode) -> Vec<Cell> {
    let possible = |target: &str| match mode {
        Mode::Permanent | Mode::Forever => !Timer::NAMES.contains(&target),
        Mode::KillBetween => has_a_middle(target),
        Mode::Hang => at_port(target),
        _ => true,
    };
    let rows = rows().into_iter().filter(|(_, target)| possible(target));
    // A background fault at the same point would be the one that hits.
    let rows = rows.filter(|(story, target)| story.broken().iter().all(|(name, _)| name != target));
    rows.map(|(story, target)| Cell { story, target, mode }).collect()
}
