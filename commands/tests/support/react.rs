//! Given a history, when an event or an alarm comes, then these intents.
use cairn_commands::processes::{
    Alarm, Awoken, Command, Effect, Fact, Intent, Occurrence, ProcessManager, Settings, Status,
    Timer,
};
use cairn_compute::{AllocationEvent, PinnedPrice};
use cairn_core::{
    AllocationId, Currency, HoldId, JournalTransaction, NodeId, OrganisationId, PaymentId,
    RefundId, Resources, Timestamp,
};
use cairn_event_log::Metadata;
use cairn_fleet::NodeEvent;
use cairn_ledger::WalletEvent;

pub const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
pub const ALLOCATION: AllocationId = AllocationId::from_bits(1);
pub const HOLD: HoldId = HoldId::from_bits(1);
pub const NODE: NodeId = NodeId::from_bits(2);
pub const ORGANISATION: OrganisationId = OrganisationId::from_bits(3);
pub const PAYMENT: PaymentId = PaymentId::from_bits(4);
pub const REFUND: RefundId = RefundId::from_bits(5);
pub const RESOURCES: Resources =
    Resources { cpu_millis: 500, memory_bytes: 1 << 28, disk_bytes: 1 << 30, pids_max: 64 };
/// One nano a second.
pub const PRICE: PinnedPrice = PinnedPrice::flat(1, Currency::USD, 3_600);

pub fn wallet_id() -> String {
    cairn_ledger::wallet_id(ORGANISATION, Currency::USD)
}

pub fn journal() -> JournalTransaction {
    let accounts = ("a:USD".to_owned(), "b:USD".to_owned());
    JournalTransaction::transfer(("k", "s", "1"), (Currency::USD, 1), accounts, NOW)
}

pub fn at(stream: impl ToString, fact: Fact) -> Occurrence {
    let (stream, event_type) = (stream.to_string(), "what.happened".to_owned());
    let metadata = Metadata::default();
    Occurrence { position: 7, recorded_at: NOW, event_type, stream, metadata, fact }
}

pub fn allocation(event: AllocationEvent) -> Occurrence {
    at(ALLOCATION, Fact::Allocation(event))
}

pub fn node(event: NodeEvent) -> Occurrence {
    at(NODE, Fact::Node(event))
}

pub fn wallet(event: WalletEvent) -> Occurrence {
    at(wallet_id(), Fact::Wallet(event))
}

/// A history, the event or alarm that comes, and what is wanted.
pub struct Given<M: ProcessManager>(pub M::State);

pub fn given<M: ProcessManager>(history: &[Occurrence]) -> Given<M> {
    let keys: Vec<_> = history.iter().filter_map(M::correlate).collect();
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]), "one instance: {keys:?}");
    let mine = history.iter().filter(|happened| M::correlate(happened).is_some());
    Given(mine.fold(M::State::default(), M::evolve))
}

impl<M: ProcessManager> Given<M> {
    pub fn when(self, happened: Occurrence) -> Vec<Intent> {
        assert!(M::correlate(&happened).is_some(), "it is not read");
        M::react(&M::evolve(self.0, &happened), &happened, &Settings::default())
    }

    pub fn due(self, timer: Timer, secs: i64) -> Awoken {
        self.due_late(timer, secs, 0)
    }

    /// Rung so many seconds after it was due.
    pub fn due_late(self, timer: Timer, secs: i64, late: i64) -> Awoken {
        let due_at = NOW.plus_secs(secs);
        let alarm = Alarm { timer, at: due_at.plus_secs(late), due_at, run: 0 };
        M::due(&self.0, alarm, &Settings::default())
    }

    #[track_caller]
    pub fn is(&self, status: Status) {
        assert_eq!(M::status(&self.0), status);
    }
}

pub fn command(command: Command) -> Intent {
    Intent::command(command)
}

pub fn timer(timer: Timer, secs: i64) -> Intent {
    Intent::timer(timer, NOW.plus_secs(secs))
}

pub fn effect(effect: Effect, give_up_secs: i64) -> Intent {
    Intent::effect(effect, Some(NOW.plus_secs(give_up_secs)))
}
