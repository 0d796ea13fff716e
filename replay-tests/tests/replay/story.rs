//! One long story through every aggregate: every event that there is happens in it.
use std::any::Any;
use std::collections::BTreeMap;

use cairn_catalog::{Sku, SkuCommand};
use cairn_compute::{Allocation, AllocationCommand, PinnedPrice, Placement, ReleaseReason, Step};
use cairn_core::{
    AllocationId, ApiKeyId, Currency, Decider, DisputeId, HoldId, NodeId, OrganisationId,
    PaymentId, RefundId, Resources, Subject, Tiers, Timestamp, UserId, WebhookEndpointId,
};
use cairn_event_log::NewEvent;
use cairn_finance::{BreakCase, Period};
use cairn_fleet::{
    Comparison, Finding, FindingKind, Link, LogSays, Node, NodeCommand, NodeFacts, Policy, Usage,
};
use cairn_identity::{
    ApiKey, ApiKeyCommand, EmailAddress, Erasure, Holder, Organisation, OrganisationCommand, Role,
    User,
};
use cairn_ledger::{Dunning, Wallet, wallet_id};
use cairn_notify::WebhookEndpoint;
use cairn_operations::{Configuration, FeatureFlag, Intervention};
use cairn_payments::{Dispute, Payment, PaymentCommand, Refund, RefundCommand};
use serde::{Deserialize, Serialize};

use super::story_credit::{WELCOMED, welcome};
use super::story_dispute::{in_the_wallet, lost, won};
use super::story_finance::{break_case, found, payouts, period};
use super::story_identity::{
    account_key, address, organisation, person, reset, service_accounts, wishes,
};
use super::story_money::{dunning, refunds, suspension, usage};
use super::story_papers::papers;
use super::story_people::{configuration, erasure, feature_flag, intervention, webhook_endpoint};

const UNIT: i64 = 1_000_000_000;
pub const ORGANISATION: OrganisationId = OrganisationId::from_bits(1 << 80);

/// One event of a log, as it is kept in a golden file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub sequence: i64,
    pub event_type: String,
    pub event_version: String,
    pub payload: serde_json::Value,
}

/// Streams by name while they are told or read.
#[derive(Default)]
pub struct Streams(BTreeMap<(String, String), (i64, Box<dyn Any>)>);

impl Streams {
    /// Adds a fact to its stream; answers it with its sequence and what it writes into the books.
    pub fn add<A: Decider>(&mut self, id: &str, event: &A::Event) -> (i64, NewEvent) {
        let fresh = || (0, Box::new(A::default()) as Box<dyn Any>);
        let key = (A::TYPE.to_owned(), id.to_owned());
        let (sequence, state) = self.0.entry(key).or_insert_with(fresh);
        let state = state.downcast_mut::<A>().unwrap();
        *state = std::mem::take(state).evolve(event.clone());
        *sequence += 1;
        (*sequence, NewEvent::try_new(event, state.book_entry(event)).unwrap())
    }

    fn state<A: Decider>(&self, id: &str) -> A {
        let found = self.0.get(&(A::TYPE.to_owned(), id.to_owned()));
        found.map_or_else(A::default, |(_, state)| state.downcast_ref::<A>().unwrap().clone())
    }
}

#[derive(Default)]
pub struct Teller {
    streams: Streams,
    told: Vec<Told>,
    decisions: Vec<usize>,
}

impl Teller {
    pub fn tell<A: Decider>(&mut self, id: &str, commands: impl IntoIterator<Item = A::Command>) {
        for command in commands {
            let events = self.streams.state::<A>(id).decide(command).unwrap();
            self.decisions.push(events.len());
            for event in events {
                let (sequence, new) = self.streams.add::<A>(id, &event);
                self.told.push(Told {
                    aggregate_type: A::TYPE.to_owned(),
                    aggregate_id: id.to_owned(),
                    sequence,
                    event_type: new.event_type,
                    event_version: new.event_version,
                    payload: serde_json::from_str(&new.payload).unwrap(),
                });
            }
        }
    }
}

pub fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_790_000_000 + secs)
}

pub fn resources(n: u32) -> Resources {
    let bytes = u64::from(n) << 26;
    Resources { cpu_millis: 250 * n, memory_bytes: bytes, disk_bytes: bytes, pids_max: 32 * n }
}

pub fn text(text: &str) -> String {
    text.to_owned()
}

/// The story. It never changes what the golden files say; a new event is told at its end.
pub fn story() -> Vec<Told> {
    story_with_decisions().0
}

/// The story, and how many events each decision made of it.
pub fn story_with_decisions() -> (Vec<Told>, Vec<usize>) {
    let mut teller = Teller::default();
    teller.tell::<Sku>("small", sku());
    teller.tell::<ApiKey>(&ApiKeyId::from_bits(1).to_string(), api_key());
    teller.tell::<Node>(&NodeId::from_bits(1).to_string(), node());
    let [paid, declined] = payments();
    teller.tell::<Payment>(&PaymentId::from_bits(1).to_string(), paid);
    teller.tell::<Payment>(&PaymentId::from_bits(2).to_string(), declined);
    let wallet = wallet_id(ORGANISATION, Currency::USD);
    teller.tell::<Wallet>(&wallet, usage());
    teller.tell::<Allocation>(&AllocationId::from_bits(1).to_string(), rental());
    teller.tell::<Allocation>(&AllocationId::from_bits(2).to_string(), failure());
    teller.tell::<Allocation>(&AllocationId::from_bits(3).to_string(), rejection());
    teller.tell::<Wallet>(&wallet, refunds());
    teller.tell::<Refund>(&RefundId::from_bits(1).to_string(), refund(1, true));
    teller.tell::<Refund>(&RefundId::from_bits(2).to_string(), refund(2, false));
    teller.tell::<Intervention>("intent-1", intervention());
    teller.tell::<Sku>("small", [SkuCommand::Retire { at: at(900) }]);
    teller.tell::<Node>(&NodeId::from_bits(2).to_string(), late_node());
    let forgotten = Subject::organisation(OrganisationId::from_bits(9));
    teller.tell::<Erasure>(forgotten.as_str(), erasure(&forgotten));
    teller.tell::<ApiKey>(&ApiKeyId::from_bits(2).to_string(), replaced_api_key());
    teller.tell::<Configuration>("cairn-1", configuration());
    teller.tell::<User>(&UserId::from_bits(1).to_string(), person());
    teller.tell::<EmailAddress>(&"e1".repeat(32), address());
    teller.tell::<Organisation>(&OrganisationId::from_bits(5).to_string(), organisation());
    let endpoint = WebhookEndpointId::from_bits(1).to_string();
    teller.tell::<WebhookEndpoint>(&endpoint, webhook_endpoint());
    teller.tell::<FeatureFlag>("pause_rentals", feature_flag());
    teller.tell::<User>(&UserId::from_bits(3).to_string(), wishes());
    let founded = OrganisationId::from_bits(5).to_string();
    teller.tell::<Organisation>(&founded, service_accounts());
    teller.tell::<ApiKey>(&ApiKeyId::from_bits(4).to_string(), account_key());
    teller.tell::<User>(&UserId::from_bits(4).to_string(), reset());
    let demand = OrganisationCommand::SetSecondFactorRule { demanded: true, at: at(1_207) };
    teller.tell::<Organisation>(&founded, [demand]);
    let welcomed = wallet_id(WELCOMED, Currency::USD);
    teller.tell::<Wallet>(&welcomed, welcome());
    teller.tell::<Dispute>(&DisputeId::from_bits(16).to_string(), won());
    teller.tell::<Dispute>(&DisputeId::from_bits(17).to_string(), lost());
    teller.tell::<Wallet>(&welcomed, in_the_wallet());
    teller.tell::<Allocation>(&AllocationId::from_bits(4).to_string(), suspension());
    teller.tell::<Dunning>(&wallet, dunning());
    teller.tell::<BreakCase>(&found(0).id().to_string(), break_case());
    teller.tell::<Period>("2023-11", period());
    super::story_prices::tell(&mut teller);
    super::story_tiers::tell(&mut teller);
    super::story_limits::tell(&mut teller);
    super::story_projects::tell(&mut teller);
    papers(&mut teller);
    payouts(&mut teller);
    super::story_usage::tell(&mut teller);
    super::story_methods::tell(&mut teller);
    super::story_top_up::tell(&mut teller);
    super::story_invoiced::tell(&mut teller);
    super::story_evidence::tell(&mut teller);
    super::story_resize::tell(&mut teller);
    super::story_disks::tell(&mut teller);
    super::story_late::tell(&mut teller);
    super::story_parts::tell(&mut teller);
    super::story_alerts::tell(&mut teller);
    (teller.told, teller.decisions)
}

fn sku() -> [SkuCommand; 3] {
    let price = |nanos_per_hour, effective| SkuCommand::SetPrice {
        currency: Currency::USD,
        nanos_per_hour,
        tiers: Tiers::NONE,
        effective_at: at(effective),
        at: at(1),
    };
    let define = SkuCommand::Define { sku_id: text("small"), resources: resources(1), at: at(0) };
    [define, price(36 * UNIT, 0), price(72 * UNIT, 500)]
}

fn api_key() -> [ApiKeyCommand; 2] {
    let create = ApiKeyCommand::Create {
        key_id: ApiKeyId::from_bits(1),
        organisation_id: ORGANISATION,
        role: Role::Owner,
        scopes: vec![],
        name: text("ci"),
        secret_sha256: "ab".repeat(32),
        holder: None,
        expires_at: None,
        at: at(0),
    };
    [create, ApiKeyCommand::Revoke { reason: text("leaked"), at: at(800) }]
}

fn replaced_api_key() -> [ApiKeyCommand; 2] {
    let create = ApiKeyCommand::Create {
        key_id: ApiKeyId::from_bits(2),
        organisation_id: ORGANISATION,
        role: Role::Viewer,
        scopes: vec![text("compute:read")],
        name: text("dashboard"),
        secret_sha256: "ac".repeat(32),
        holder: Some(Holder::Person(UserId::from_bits(1))),
        expires_at: Some(at(90_000)),
        at: at(910),
    };
    let successor = Some(ApiKeyId::from_bits(3));
    [create, ApiKeyCommand::SetExpiry { expires_at: at(1_000), successor, at: at(920) }]
}

fn node() -> Vec<NodeCommand> {
    let invite = NodeCommand::Invite {
        node_id: NodeId::from_bits(1),
        name: text("node-1"),
        token_sha256: "cd".repeat(32),
        expires_at: at(1_800),
        at: at(0),
    };
    let enrol = NodeCommand::Enrol {
        token_sha256: "cd".repeat(32),
        address: text("10.0.0.2"),
        port: 22,
        host_keys: vec![text("ssh-ed25519 AAAA")],
        facts: NodeFacts {
            hostname: text("node-1"),
            os: text("Debian GNU/Linux 12"),
            helper_version: text("0.1.0"),
            cgroup: text("v2"),
            total: resources(16),
            last_uid: 0,
        },
        reserve: resources(1),
        host_certificate_serial: 7,
        at: at(1),
    };
    let probe = |failure: Option<&str>| NodeCommand::RecordProbe {
        failure: failure.map(str::to_owned),
        at: at(2),
    };
    let policy = |policy| NodeCommand::SetPolicy { policy, reason: text("upgrade"), at: at(3) };
    let link = |link| NodeCommand::ObserveLink { link, at: at(4) };
    let reserve = |n| NodeCommand::Reserve {
        allocation_id: AllocationId::from_bits(n),
        resources: resources(2),
        at: at(10),
    };
    let stuck = NodeCommand::QuarantineCapacity {
        allocation_id: AllocationId::from_bits(2),
        reason: text("teardown unproven"),
        at: at(20),
    };
    let release = NodeCommand::Release { allocation_id: AllocationId::from_bits(1), at: at(21) };
    let quarantine = NodeCommand::Quarantine { reason: text("host key changed"), at: at(22) };
    vec![
        invite,
        enrol,
        probe(Some("connection refused")),
        probe(None),
        policy(Policy::Cordoned),
        policy(Policy::Schedulable),
        link(Link::Suspect),
        link(Link::Online),
        reserve(1),
        reserve(2),
        stuck,
        release,
        quarantine,
    ]
}

/// Invited twice, because nobody came in time, and then nearly used up for a while.
fn late_node() -> Vec<NodeCommand> {
    let invite = |token: &str, from| NodeCommand::Invite {
        node_id: NodeId::from_bits(2),
        name: text("node-2"),
        token_sha256: token.repeat(32),
        expires_at: at(from + 1_800),
        at: at(from),
    };
    let enrol = NodeCommand::Enrol {
        token_sha256: "ef".repeat(32),
        address: text("10.0.0.3"),
        port: 22,
        host_keys: vec![text("ssh-ed25519 BBBB")],
        facts: NodeFacts {
            hostname: text("node-2"),
            os: text("Debian GNU/Linux 12"),
            helper_version: text("0.1.0"),
            cgroup: text("v2"),
            total: resources(16),
            last_uid: 0,
        },
        reserve: resources(1),
        host_certificate_serial: 8,
        at: at(2_001),
    };
    let disk = |disk_permille, secs| {
        let usage = Usage { cpu_permille: 120, memory_permille: 400, disk_permille };
        NodeCommand::ObserveUsage { usage, at: at(secs) }
    };
    let gone = AllocationId::from_bits(9);
    let findings = vec![
        Finding {
            kind: FindingKind::LeftOnNode,
            allocation_id: Some(gone),
            log_says: LogSays::Over,
            what: text("t20000: uid, user"),
        },
        Finding {
            kind: FindingKind::LeftOnNode,
            allocation_id: None,
            log_says: LogSays::Unknown,
            what: text("account t20007 with uid 20007"),
        },
    ];
    let comparison = Comparison::of(3, findings);
    let evidence = text("0 left");
    vec![
        invite("cd", 0),
        NodeCommand::ExpireInvitation { at: at(1_800) },
        invite("ef", 2_000),
        enrol,
        NodeCommand::RecordProbe { failure: None, at: at(2_002) },
        disk(930, 2_030),
        disk(940, 2_060),
        disk(700, 2_090),
        disk(700, 2_390),
        NodeCommand::RecordInventory { comparison, at: at(2_400) },
        NodeCommand::RecordOrphanRemoved { allocation_id: gone, evidence, at: at(2_401) },
    ]
}

fn payments() -> [Vec<PaymentCommand>; 2] {
    let request = |n, payment_method: Option<&str>| PaymentCommand::Request {
        payment_id: PaymentId::from_bits(n),
        organisation_id: ORGANISATION,
        currency: Currency::USD,
        amount_nanos: 20 * UNIT,
        payment_method: payment_method.map(str::to_owned),
        at: at(0),
    };
    let submit = |id| PaymentCommand::Submit { provider_id: text(id), at: at(1) };
    let (provider_id, charge_id) = (text("pi_1"), text("ch_1"));
    let succeed =
        PaymentCommand::Succeed { provider_id, charge_id, amount_nanos: 20 * UNIT, at: at(2) };
    let fee = PaymentCommand::RecordFee {
        balance_transaction_id: text("txn_1"),
        fee_nanos: 880_000_000,
        at: at(3),
    };
    let fail = PaymentCommand::Fail { code: text("declined"), message: text("no"), at: at(4) };
    [
        vec![request(1, Some("pm_card_visa")), submit("pi_1"), succeed, fee],
        vec![request(2, None), submit("pi_2"), fail],
    ]
}

fn refund(n: u128, succeeds: bool) -> Vec<RefundCommand> {
    let request = RefundCommand::Request {
        refund_id: RefundId::from_bits(n),
        payment_id: PaymentId::from_bits(3),
        organisation_id: ORGANISATION,
        currency: Currency::USD,
        amount_nanos: UNIT,
        charge_id: text("ch_3"),
        at: at(302),
    };
    let submit = RefundCommand::Submit { provider_id: format!("re_{n}"), at: at(303) };
    let succeed =
        RefundCommand::Succeed { provider_id: format!("re_{n}"), amount_nanos: UNIT, at: at(304) };
    let fail = RefundCommand::Fail { code: text("lost_or_stolen_card"), at: at(399) };
    if succeeds { vec![request, submit, succeed, fail] } else { vec![request, submit, fail] }
}

pub fn requested(n: u128, node_id: Option<NodeId>) -> AllocationCommand {
    AllocationCommand::Request {
        allocation_id: AllocationId::from_bits(n),
        organisation_id: ORGANISATION,
        sku_id: text("small"),
        resources: resources(2),
        price: PinnedPrice::flat(1, Currency::USD, 36 * UNIT),
        tax: None,
        project_id: None,
        ssh_public_key: text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA=="),
        node_id,
        at: at(5),
    }
}

pub fn provisioning(n: u128, steps: usize) -> Vec<AllocationCommand> {
    let uid = 19_999 + u32::try_from(n).unwrap();
    let (node_id, hold_id) = (NodeId::from_bits(1), HoldId::from_bits(n));
    let placement = Placement { node_id, uid, hold_id };
    let mut commands = vec![
        AllocationCommand::ConfirmReserved { placement, at: at(11) },
        AllocationCommand::StartProvisioning { login: format!("t{uid}"), at: at(12) },
    ];
    commands.extend(Step::ALL.into_iter().take(steps).map(|step| {
        AllocationCommand::CompleteStep { step, observed: text("as wanted"), at: at(13) }
    }));
    commands
}

fn rental() -> Vec<AllocationCommand> {
    let mut commands = vec![requested(1, None)];
    commands.extend(provisioning(1, 6));
    commands.extend([
        AllocationCommand::Activate { proof: text("uid=20000(t20000)"), at: at(20) },
        AllocationCommand::RequestRelease { reason: ReleaseReason::Customer, at: at(86) },
        AllocationCommand::VerifyTeardown { evidence: text("nothing left"), at: at(90) },
        AllocationCommand::ConfirmReleased { charged_nanos: 2 * UNIT / 3, at: at(91) },
    ]);
    commands
}

fn failure() -> Vec<AllocationCommand> {
    let mut commands = vec![requested(2, Some(NodeId::from_bits(1)))];
    commands.extend(provisioning(2, 3));
    let (code, message) = (text("disk_full"), text("no space left"));
    commands.extend([
        AllocationCommand::FailProvisioning { step: Step::Limits, code, message, at: at(14) },
        AllocationCommand::CallOperator {
            doing: text("undo"),
            message: text("node is offline"),
            at: at(15),
        },
        AllocationCommand::ConfirmFailed { at: at(16) },
    ]);
    commands
}

fn rejection() -> [AllocationCommand; 2] {
    let (code, message) = (text("no_capacity"), text("no node has room"));
    [requested(3, None), AllocationCommand::Reject { code, message, at: at(6) }]
}
