//! The saga matrix: every step of every process, failed for good, never answered, killed before and after; over any world.
use std::sync::Arc;

use cairn_commands::{compute, fleet, payments};
use cairn_compute::{Allocation, AllocationStatus, ReleaseReason, Step};
use cairn_core::{AllocationId, Currency, OrganisationId, PaymentId};
use cairn_fleet::{Link, Node, NodeLifecycle, Policy};
use cairn_ledger::{HoldStatus, Wallet, wallet_id};
use sqlx::postgres::PgConnectOptions;

use super::faults::Mode;
use super::harness::{Harness, PER_HOUR, SKU, Snapshot, World, usd};

/// Which way the story goes before the fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Story {
    /// Top up, rent, use, release, refund.
    Rental,
    /// The same, but provisioning fails at `limits` and is undone.
    FailingRental,
    /// The wallet cannot pay for the first hour.
    TooPoor,
    /// The refund fails at the provider.
    FailingRefund,
    /// The node is drained, which ends the rental.
    Drain,
    /// A node enrols and is watched.
    Enrolment,
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
pub const RENTAL: [&str; 24] = [
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

/// Every intent that undoes.
pub const UNDO: [(Story, &str); 5] = [
    (Story::FailingRental, "tear_down"),
    (Story::FailingRental, "release_hold"),
    (Story::FailingRental, "confirm_failed"),
    (Story::TooPoor, "release_capacity"),
    (Story::FailingRefund, "return_refund"),
];

/// Every intent that looks after nodes.
pub const NODES: [(Story, &str); 5] = [
    (Story::Drain, "drain_deadline"),
    (Story::Drain, "request_release"),
    (Story::Enrolment, "probe_node"),
    (Story::Enrolment, "watch"),
    (Story::Enrolment, "watch_node"),
];

/// The cells of one way to go wrong.
pub fn cells(mode: Mode) -> Vec<Cell> {
    let timers = ["poll", "meter_tick", "drain_deadline", "watch"];
    let kills = matches!(mode, Mode::KillBefore | Mode::KillAfter);
    let rental = RENTAL.map(|target| (Story::Rental, target));
    let all = rental.into_iter().chain(UNDO).chain(NODES);
    all.filter(|(_, target)| kills || !timers.contains(target))
        .map(|(story, target)| Cell { story, target, mode })
        .collect()
}

/// Runs cells one after the other in one database over one world.
pub async fn saga_matrix(database: PgConnectOptions, world: Arc<dyn World>, cells: &[Cell]) {
    let mut harness = Harness::start(database, world).await;
    for cell in cells {
        run(&mut harness, *cell).await;
    }
    harness.kill_runner().await;
}

/// Everything of one run of the story.
struct Run<'a> {
    harness: &'a mut Harness,
    cell: Cell,
    organisation_id: OrganisationId,
    /// Cards before this run.
    cards: (usize, usize),
    stuck: u32,
}

async fn run(harness: &mut Harness, cell: Cell) {
    harness.faults.clear();
    if cell.story == Story::FailingRental {
        harness.faults.arm("ensure_limits", Mode::Permanent);
    }
    harness.faults.arm(cell.target, cell.mode);
    let organisation_id = harness.organisation();
    let (paid, refunded) = harness.world.cards();
    let cards = (paid.len(), refunded.len());
    let mut run = Run { harness, cell, organisation_id, cards, stuck: 0 };
    let outside = cell.mode == Mode::Outside;
    if outside {
        run.harness.world.set_broken(cell.target, true).await;
    }
    run.tell().await;
    let hits = run.harness.faults.hits(cell.target);
    assert!(hits > 0 || outside, "{cell:?}: the fault never hit");
}

impl Run<'_> {
    async fn tell(&mut self) {
        if self.cell.story == Story::Enrolment {
            return self.enrol().await;
        }
        let Some(payment_id) = self.top_up().await else {
            return self.check_books(None, 0).await;
        };
        let allocation_id = self.rent().await;
        if self.cell.mode == Mode::Outside {
            self.harness.world.set_broken(self.cell.target, false).await;
        }
        let allocation = self.allocation(allocation_id).await;
        if allocation.status == AllocationStatus::Active {
            self.harness.run_for(95).await;
            self.mend().await;
            if self.cell.story == Story::Drain {
                self.drain().await;
            } else {
                self.ask_for_release(allocation_id).await;
            }
            self.released(allocation_id).await;
        }
        self.check_node(allocation_id).await;
        let refunded = self.refund(payment_id).await;
        self.check_books(Some(allocation_id), refunded).await;
    }

    /// Goes on until a process has ended; whatever is stuck on the way must be what was broken, and is mended.
    async fn pursue(&mut self, process: &str, key: &str) -> String {
        loop {
            let what = format!("{:?}: {process} {key} ends", self.cell);
            let snapshot =
                self.harness.until(&what, |s| s.ended(process, key) || !s.stuck.is_empty()).await;
            if snapshot.stuck.is_empty() {
                return snapshot.status(process, key).unwrap().to_owned();
            }
            self.mend_from(&snapshot).await;
        }
    }

    async fn mend(&mut self) {
        let snapshot = self.harness.snapshot().await;
        if !snapshot.stuck.is_empty() {
            self.mend_from(&snapshot).await;
        }
    }

    async fn mend_from(&mut self, snapshot: &Snapshot) {
        self.harness.faults.mend();
        for stuck in &snapshot.stuck {
            assert_eq!(stuck.name, self.cell.target, "{:?}: something else is stuck", self.cell);
            self.stuck += 1;
            self.harness.retry(&stuck.id).await.unwrap();
        }
        assert!(self.stuck < 10, "{:?}: it stays stuck", self.cell);
        self.harness.until("the operator is obeyed", |s| s.stuck.is_empty()).await;
    }

    async fn top_up(&mut self) -> Option<PaymentId> {
        let method = (self.cell.story == Story::FailingRefund)
            .then(|| self.harness.world.refund_fails())
            .flatten();
        let amount = if self.cell.story == Story::TooPoor { usd(1) } else { usd(20) };
        let request = payments::RequestTopUp {
            organisation_id: self.organisation_id,
            amount,
            payment_method: method.or_else(|| Some("pm_card_visa".to_owned())),
        };
        let context = self.harness.context();
        let asked = payments::request_top_up(&self.harness.commands, &context, request).await;
        let key = asked.unwrap().aggregate_id;
        let ended = self.pursue("top_up", &key).await;
        if ended == "unwound" {
            assert_eq!(
                (self.cell.target, self.cell.mode),
                ("create_payment", Mode::Permanent),
                "only a payment that cannot be made fails"
            );
            return None;
        }
        assert_eq!(ended, "done");
        key.parse().ok()
    }

    async fn rent(&mut self) -> AllocationId {
        let request = compute::RequestAllocation {
            organisation_id: self.organisation_id,
            sku_id: SKU.to_owned(),
            currency: Currency::USD,
            ssh_public_key: self.harness.world.public_key(),
            node_id: None,
        };
        let context = self.harness.context();
        let asked = compute::request_allocation(&self.harness.commands, &context, request).await;
        let key = asked.unwrap().aggregate_id;
        let ended = self.pursue("rent_node", &key).await;
        let allocation_id: AllocationId = key.parse().unwrap();
        let allocation = self.allocation(allocation_id).await;
        let (expected, ended_as) = (self.expected_rental(), (ended.as_str(), allocation.status));
        assert!(expected.contains(&ended_as), "{:?}: {ended_as:?}", self.cell);
        if let Some(step) = self.failing_step()
            && allocation.status == AllocationStatus::Failed
        {
            assert_eq!(allocation.failed_step, Some(step), "the step that failed is the one meant");
        }
        allocation_id
    }

    fn failing_step(&self) -> Option<Step> {
        let name = match self.cell.story {
            Story::FailingRental => "limits",
            _ => self.cell.target.strip_prefix("ensure_")?,
        };
        Step::ALL.into_iter().find(|step| step.name() == name)
    }

    /// How the rental may end. A command that is never answered races its deadline: the operator or the clock wins.
    fn expected_rental(&self) -> Vec<(&'static str, AllocationStatus)> {
        const ACTIVE: (&str, AllocationStatus) = ("done", AllocationStatus::Active);
        const FAILED: (&str, AllocationStatus) = ("unwound", AllocationStatus::Failed);
        const REJECTED: (&str, AllocationStatus) = ("unwound", AllocationStatus::Rejected);
        let Cell { story, target, mode } = self.cell;
        match (story, mode) {
            (Story::TooPoor, _) => vec![REJECTED],
            (Story::FailingRental, _) => vec![FAILED],
            (
                _,
                Mode::Permanent | Mode::Forever | Mode::Unheard | Mode::Untrusted | Mode::Outside,
            ) if target.starts_with("ensure_") => {
                vec![FAILED]
            }
            (_, Mode::Forever) => match target {
                "reserve_capacity" | "hold_funds" => vec![REJECTED],
                "confirm_reserved" => vec![REJECTED, ACTIVE],
                "start_provisioning" | "activate" => vec![FAILED, ACTIVE],
                _ => vec![ACTIVE],
            },
            _ => vec![ACTIVE],
        }
    }

    async fn ask_for_release(&self, allocation_id: AllocationId) {
        let request = compute::RequestRelease {
            organisation_id: Some(self.organisation_id),
            allocation_id,
            reason: ReleaseReason::Customer,
        };
        let context = self.harness.context();
        compute::request_release(&self.harness.commands, &context, request).await.unwrap();
    }

    /// Another look at the node is a day away, so that nothing but the drain happens.
    async fn drain(&mut self) {
        self.set_policy(Policy::Draining).await;
        self.harness.run_for(3_700).await;
        self.mend().await;
        let node_id = self.harness.node_id.to_string();
        assert_eq!(self.pursue("drain_node", &node_id).await, "done", "{:?}", self.cell);
        self.set_policy(Policy::Schedulable).await;
    }

    async fn set_policy(&self, policy: Policy) {
        let node_id = self.harness.node_id;
        let set = fleet::SetPolicy { node_id, policy, reason: "test".to_owned() };
        let context = self.harness.context();
        fleet::set_policy(&self.harness.commands, &context, set).await.unwrap();
    }

    /// A probe that fails is an answer: it is recorded, never stuck.
    async fn enrol(&mut self) {
        // The look that verifies and the look that watches are the same call: break the second one after the first.
        let watching = self.cell.target == "watch_node";
        if watching {
            self.harness.faults.clear();
        }
        let node_id = self.harness.enrol("another").await.to_string();
        if watching {
            self.harness.faults.arm(self.cell.target, self.cell.mode);
        }
        self.harness.run_for(86_500).await;
        let node: Node = self.harness.load(&node_id).await;
        let fails = matches!(self.cell.mode, Mode::Permanent | Mode::Forever);
        let expected = match self.cell.target {
            "probe_node" if fails => (NodeLifecycle::Quarantined, Link::NeverSeen),
            "watch_node" if fails => (NodeLifecycle::Ready, Link::Suspect),
            _ => (NodeLifecycle::Ready, Link::Online),
        };
        assert_eq!((node.lifecycle, node.link), expected, "{:?}", self.cell);
        self.harness.faults.mend();
        self.harness.run_for(86_500).await;
        let watched: Node = self.harness.load(&self.harness.node_id.to_string()).await;
        assert_eq!(watched.link, Link::Online, "{:?}: seen again", self.cell);
        assert!(self.harness.snapshot().await.stuck.is_empty(), "{:?}", self.cell);
    }

    async fn released(&mut self, allocation_id: AllocationId) {
        let ended = self.pursue("release_node", &allocation_id.to_string()).await;
        assert_eq!(ended, "done", "{:?}", self.cell);
        let metered = self.pursue("meter_usage", &allocation_id.to_string()).await;
        assert_eq!(metered, "done", "{:?}", self.cell);
        let allocation = self.allocation(allocation_id).await;
        assert_eq!(allocation.status, AllocationStatus::Released, "{:?}", self.cell);
        let (since, until) = (allocation.activated_at.unwrap(), allocation.released_at.unwrap());
        let seconds = until.secs_since(since);
        assert!(seconds >= 95, "{:?}: it was used for {seconds} s", self.cell);
        let wallet = self.wallet().await;
        let hold = wallet.holds.values().next().unwrap();
        let charged = hold.captured_nanos + hold.overrun_nanos;
        assert_eq!(charged, seconds * PER_HOUR / 3_600, "{:?}: charged by the second", self.cell);
    }

    async fn refund(&mut self, payment_id: PaymentId) -> i64 {
        let request = payments::RequestRefund {
            organisation_id: self.organisation_id,
            payment_id,
            amount: None,
            reason: "that is all".to_owned(),
        };
        let context = self.harness.context();
        let asked = payments::request_refund(&self.harness.commands, &context, request).await;
        let result = asked.unwrap().result;
        let key = result["refund_id"].as_str().unwrap().to_owned();
        let ended = self.pursue("refund_payment", &key).await;
        let fails = self.cell.story == Story::FailingRefund
            || (self.cell.target, self.cell.mode) == ("create_refund", Mode::Permanent);
        assert_eq!(ended, if fails { "unwound" } else { "done" }, "{:?}", self.cell);
        let wallet = self.wallet().await;
        let refund = &wallet.refunds[&key];
        assert_eq!(refund.returned, fails);
        if fails { 0 } else { refund.amount_nanos }
    }

    async fn allocation(&self, allocation_id: AllocationId) -> Allocation {
        self.harness.load(&allocation_id.to_string()).await
    }

    async fn wallet(&self) -> Wallet {
        self.harness.load(&wallet_id(self.organisation_id, Currency::USD)).await
    }

    async fn check_node(&self, allocation_id: AllocationId) {
        let allocation = self.allocation(allocation_id).await;
        let left = self.harness.world.left(&allocation).await;
        assert_eq!(left, Vec::<String>::new(), "{:?}: left on the node", self.cell);
        let node: Node = self.harness.load(&self.harness.node_id.to_string()).await;
        assert!(node.reservations.is_empty(), "{:?}: {:?}", self.cell, node.reservations);
    }

    /// Money paid in is money used, refunded or left; nothing is held; the books agree.
    async fn check_books(&self, allocation_id: Option<AllocationId>, refunded: i64) {
        let cell = self.cell;
        let wallet = self.wallet().await;
        let paid: i64 = wallet.lots.iter().map(|lot| lot.amount_nanos).sum();
        let charged: i64 = wallet.holds.values().map(|hold| hold.captured_nanos).sum();
        assert_eq!(wallet.held_nanos, 0, "{cell:?}: money is still held");
        assert_eq!(wallet.posted_nanos, paid - charged - refunded, "{cell:?}");
        for hold in wallet.holds.values() {
            assert_eq!(hold.status, HoldStatus::Released, "{cell:?}");
            assert_eq!(
                hold.reserved_nanos,
                hold.captured_nanos + hold.released_nanos,
                "{cell:?}: what was held is what was captured or released"
            );
        }
        let (payments, refunds) = self.harness.world.cards();
        let (payments, refunds) = (&payments[self.cards.0..], &refunds[self.cards.1..]);
        assert_eq!(payments.iter().map(|p| p.nanos).sum::<i64>(), paid, "{cell:?}: cards");
        assert!(payments.len() <= 1 && refunds.len() <= 1, "{cell:?}: {payments:?} {refunds:?}");
        let snapshot = self.harness.snapshot().await;
        assert!(snapshot.stuck.is_empty(), "{cell:?}: {:?}", snapshot.stuck);
        if let Some(allocation_id) = allocation_id {
            let key = allocation_id.to_string();
            assert!(snapshot.ended("rent_node", &key), "{cell:?}");
        }
        let unbalanced: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM (SELECT currency FROM ledger_postings GROUP BY currency
             HAVING sum(amount_nanos) <> 0) AS off",
        )
        .fetch_one(self.harness.pool())
        .await
        .unwrap();
        assert_eq!(unbalanced, 0, "{cell:?}: the books do not balance");
    }
}
