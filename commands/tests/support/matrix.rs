//! The saga matrix: every step of every process, failed for good, never answered, killed before, between and after; over any world.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cairn_commands::identity::Code;
use cairn_commands::identity::people::{self, Register};
use cairn_commands::{Expected, compute, fleet, payments};
use cairn_compute::{Allocation, AllocationStatus, ReleaseReason, Step};
use cairn_core::{AllocationId, Currency, OrganisationId, PaymentId};
use cairn_fleet::{Link, Node, NodeLifecycle, Policy};
use cairn_ledger::{HoldStatus, Wallet, wallet_id};
use sqlx::postgres::PgConnectOptions;

use super::faults::Mode;
use super::harness::{Harness, PER_HOUR, SKU, Snapshot, World, usd};
use super::table::{Cell, Story};

/// Runs cells one after the other in one database over one world. Answers how often each point was done once more.
pub async fn saga_matrix(
    database: PgConnectOptions,
    world: Arc<dyn World>,
    cells: &[Cell],
) -> BTreeMap<String, u32> {
    let mut harness = Harness::start(database, world).await;
    if cells.iter().any(|cell| cell.mode == Mode::Hang) {
        harness.stop_runner().await;
        harness.config.timeout = Duration::from_millis(300);
        harness.start_runner();
    }
    for cell in cells {
        run(&mut harness, *cell).await;
    }
    harness.kill_runner().await;
    harness.faults.repeats()
}

/// Everything of one run of the story.
pub(super) struct Run<'a> {
    pub(super) harness: &'a mut Harness,
    pub(super) cell: Cell,
    pub(super) organisation_id: OrganisationId,
    /// Cards before this run.
    cards: (usize, usize),
    stuck: u32,
}

async fn run(harness: &mut Harness, cell: Cell) {
    harness.faults.clear();
    for (name, mode) in cell.story.broken() {
        harness.faults.arm(name, *mode);
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
    run.check_calls().await;
}

impl Run<'_> {
    async fn tell(&mut self) {
        match self.cell.story {
            Story::Enrolment => return self.enrol().await,
            Story::Invitation => return self.invite().await,
            Story::UnusedHold => return self.hold_for_nothing().await,
            Story::UnusedCredit => return self.give_for_nothing().await,
            Story::Letter => return self.register().await,
            Story::WonDispute | Story::LostDispute => return self.dispute().await,
            Story::Filled | Story::Declined => return self.fill().await,
            _ => {}
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
            match self.cell.story {
                Story::Drain => self.drain().await,
                Story::Exhausted => self.exhaust(allocation_id).await,
                Story::Suspension => self.suspend(allocation_id).await,
                _ => self.ask_for_release(allocation_id).await,
            }
            self.released(allocation_id).await;
        }
        if !self.cell.story.broken().is_empty() {
            self.mend_everything().await;
        }
        self.check_node(allocation_id).await;
        let credited = match self.cell.story {
            Story::Credited => self.credit().await,
            Story::Corrected => self.correct(allocation_id).await,
            Story::CorrectedInvoice => self.correct_invoiced(allocation_id).await,
            _ => 0,
        };
        let refunded = match self.cell.story {
            Story::Exhausted => 0,
            _ => self.refund(payment_id).await,
        };
        self.check_books(Some(allocation_id), refunded - credited).await;
    }

    /// Goes on until a process has ended; whatever is stuck on the way must be what was broken, and is mended.
    pub(super) async fn pursue(&mut self, process: &str, key: &str) -> String {
        loop {
            let what = format!("{:?}: {process} {key} ends", self.cell);
            let story = self.cell.story;
            let stuck = |s: &Snapshot| s.stuck.iter().any(|stuck| !story.bears(&stuck.name));
            let over = |s: &Snapshot| s.ended(process, key) || stuck(s);
            let snapshot = self.harness.until(&what, over).await;
            if !stuck(&snapshot) {
                return snapshot.status(process, key).unwrap().to_owned();
            }
            self.mend_from(&snapshot, |name| story.bears(name)).await;
        }
    }

    pub(super) async fn mend(&mut self) {
        let snapshot = self.harness.snapshot().await;
        if !snapshot.stuck.is_empty() {
            self.mend_from(&snapshot, |_| false).await;
        }
    }

    /// What is broken behind the story works again, and what waited for it is done.
    async fn mend_everything(&mut self) {
        self.harness.faults.mend();
        self.harness.run_for(70).await;
        self.mend().await;
    }

    /// An operator mends what is stuck and has it tried again, but for what the story bears.
    async fn mend_from(&mut self, snapshot: &Snapshot, bears: impl Fn(&str) -> bool) {
        self.harness.faults.mend_but(&bears);
        for stuck in snapshot.stuck.iter().filter(|stuck| !bears(&stuck.name)) {
            let mut broken = self.cell.story.broken().iter().map(|(name, _)| *name);
            let meant = stuck.name == self.cell.target || broken.any(|name| name == stuck.name);
            assert!(meant, "{:?}: {} is stuck as well", self.cell, stuck.name);
            self.stuck += 1;
            self.harness.retry(&stuck.id).await.unwrap();
        }
        assert!(self.stuck < 10, "{:?}: it stays stuck", self.cell);
        let obeyed = |s: &Snapshot| s.stuck.iter().all(|stuck| bears(&stuck.name));
        self.harness.until("the operator is obeyed", obeyed).await;
    }

    pub(super) async fn top_up(&mut self) -> Option<PaymentId> {
        let method = (self.cell.story == Story::FailingRefund)
            .then(|| self.harness.world.refund_fails())
            .flatten();
        let amount = match self.cell.story {
            Story::TooPoor => usd(1),
            Story::Exhausted => usd(4),
            _ => usd(20),
        };
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
            additional_disk_gib: 0,
            currency: Currency::USD,
            ssh_public_key: self.harness.world.public_key(),
            project_id: None,
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
            Story::FailingRental | Story::LateProvisioning | Story::StuckUndo => "limits",
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
            (Story::FailingRental | Story::StuckUndo, _) => vec![FAILED],
            (Story::LateReservation, Mode::Forever) => vec![REJECTED, FAILED, ACTIVE],
            (Story::LateReservation, _) => vec![REJECTED],
            (Story::LateProvisioning, Mode::Permanent | Mode::Forever) => vec![FAILED, ACTIVE],
            (Story::LateProvisioning, _) => vec![FAILED],
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

    pub(super) async fn ask_for_release(&self, allocation_id: AllocationId) {
        let request = compute::RequestRelease {
            organisation_id: Some(self.organisation_id),
            allocation_id,
            reason: ReleaseReason::Customer,
            expected: Expected::Anything,
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
        let (reason, expected) = ("test".to_owned(), Expected::Anything);
        let set = fleet::SetPolicy { node_id, policy, reason, expected };
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

    async fn invite(&mut self) {
        let invite = fleet::InviteNode { node_id: None, name: "nobody".to_owned() };
        let context = self.harness.context();
        let invited = fleet::invite_node(&self.harness.commands, &context, invite).await.unwrap();
        let key = invited.executed.aggregate_id;
        assert_eq!(self.pursue("verify_node", &key).await, "unwound", "{:?}", self.cell);
        let node: Node = self.harness.load(&key).await;
        assert_eq!(node.lifecycle, NodeLifecycle::Expired, "{:?}", self.cell);
    }

    async fn register(&mut self) {
        let (worth, context) = (1_000, self.harness.context());
        let expires_at = self.harness.clock_now().plus_secs(worth);
        let text = str::to_owned;
        let input = Register {
            email: text("ada@example.org"),
            email_index: text("index"),
            name: text("Ada"),
            password: text("$argon2id$"),
            code: Code { token: text("code"), token_sha256: text("hash"), expires_at },
        };
        let commands = &self.harness.commands;
        let wanted = people::register(commands, &context, input).await.unwrap();
        let key = format!("{}/{}", wanted.aggregate_id, wanted.position);
        self.pursue("send_mail", &key).await;
        // The process ends with its wish; what is wanted is tried as long as the code works.
        for seconds in [100, worth] {
            self.harness.run_for(seconds).await;
            self.mend().await;
        }
        assert!(self.harness.snapshot().await.stuck.is_empty(), "{:?}", self.cell);
        let came = self.harness.letters.came(&format!("send-mail-{}-0", wanted.position));
        assert!(came || self.cell.mode == Mode::Forever, "{:?}: no letter came", self.cell);
    }

    async fn released(&mut self, allocation_id: AllocationId) {
        let ended = self.pursue("release_node", &allocation_id.to_string()).await;
        assert_eq!(ended, "done", "{:?}", self.cell);
        let metered = self.pursue("meter_usage", &allocation_id.to_string()).await;
        assert_eq!(metered, "done", "{:?}", self.cell);
        let allocation = self.allocation(allocation_id).await;
        assert_eq!(allocation.status, AllocationStatus::Released, "{:?}", self.cell);
        let (since, until) = (allocation.activated_at.unwrap(), allocation.released_at.unwrap());
        let seconds = until.secs_since(since) - allocation.idle_seconds;
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

    pub(super) async fn allocation(&self, allocation_id: AllocationId) -> Allocation {
        self.harness.load(&allocation_id.to_string()).await
    }

    pub(super) async fn wallet(&self) -> Wallet {
        self.harness.load(&wallet_id(self.organisation_id, Currency::USD)).await
    }

    /// A node is asked again under the same key, and does nothing more. Who may have made something at the provider looks for it and
    /// does not make it again. What hung was given up.
    async fn check_calls(&self) {
        let Cell { target, mode, .. } = self.cell;
        if mode == Mode::KillBetween {
            let keys = self.harness.faults.keys(target);
            if target.starts_with("ensure_") {
                assert_eq!(keys.len(), 2, "{:?}: {keys:?}", self.cell);
                assert_eq!(keys[0], keys[1], "{:?}", self.cell);
            }
            if target.starts_with("create_") {
                assert_eq!(keys.len(), 1, "{:?}: {keys:?}", self.cell);
            }
        }
        if mode == Mode::Hang {
            let noticed: i64 = sqlx::query_scalar(
                "SELECT (SELECT count(*) FROM process_intents WHERE name = $1 AND last_error LIKE 'timeout:%')
                      + (SELECT count(*) FROM events WHERE event_type = 'node.probe_failed'
                           AND payload->>'reason' LIKE 'timeout:%')
                      + (SELECT count(*) FROM events WHERE event_type = 'node.link_changed'
                           AND payload->>'link' = 'suspect')",
            )
            .bind(target)
            .fetch_one(self.harness.pool())
            .await
            .unwrap();
            assert!(noticed > 0, "{:?}: nobody gave the call up", self.cell);
        }
    }

    async fn check_node(&self, allocation_id: AllocationId) {
        let allocation = self.allocation(allocation_id).await;
        if let Some(changes) = self.harness.world.changes(&allocation) {
            // Whoever is suspended has the login opened once more.
            let more = usize::from(self.cell.story == Story::Suspension);
            assert!(changes < Step::ALL.len() + more, "{:?}: {changes} changes", self.cell);
        }
        let left = self.harness.world.left(&allocation).await;
        assert_eq!(left, Vec::<String>::new(), "{:?}: left on the node", self.cell);
        let node: Node = self.harness.load(&self.harness.node_id.to_string()).await;
        assert!(node.reservations.is_empty(), "{:?}: {:?}", self.cell, node.reservations);
    }

    /// Money paid in is money used, gone (refunded, less what a credit note gave back) or left; nothing is held; the books agree.
    pub(super) async fn check_books(&self, allocation_id: Option<AllocationId>, gone: i64) {
        let cell = self.cell;
        let wallet = self.wallet().await;
        let paid: i64 = wallet.lots.iter().map(|lot| lot.amount_nanos).sum();
        let charged: i64 = wallet.holds.values().map(|hold| hold.captured_nanos).sum();
        assert_eq!(wallet.held_nanos, 0, "{cell:?}: money is still held");
        assert_eq!(wallet.posted_nanos, paid - charged - gone, "{cell:?}");
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
