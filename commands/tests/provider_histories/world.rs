//! All that hears of the provider, in memory: the aggregates, the process managers between them, and what they write into the books.
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use cairn_commands::payments::Desk;
use cairn_commands::processes::refund_payment::RefundPayment;
use cairn_commands::processes::settle_dispute::SettleDispute;
use cairn_commands::processes::top_up::TopUp;
use cairn_commands::processes::{
    Action, Effect, Fact, Intent, Occurrence, ProcessManager, Settings,
};
use cairn_commands::{ExecuteError, Executed};
use cairn_core::{Decider, PaymentId, RefundId, Refusal as _};
use cairn_event_log::Metadata;
use cairn_ledger::{Wallet, WalletEvent};
use cairn_payments::{
    Dispute, DisputeEvent, Payment, PaymentEvent, Refund, RefundCommand, RefundEvent,
};
use serde_json::Value;

use crate::provider::NOW;

/// Balances of accounts, what holds have set aside on them, and what was written.
#[derive(Debug, Default)]
pub struct Books {
    pub accounts: BTreeMap<String, i64>,
    pub held: BTreeMap<(String, String), i64>,
    sources: BTreeSet<(String, String)>,
}

impl Books {
    fn write<A: Decider>(&mut self, after: &A, event: &A::Event) {
        let Some(entry) = after.book_entry(event) else { return };
        for change in entry.hold_changes() {
            let row = (change.hold_id.to_string(), change.account.clone());
            let left = self.held.entry(row).or_default();
            *left += change.reserved_nanos - change.captured_nanos - change.released_nanos;
            assert!(*left >= 0, "a hold gives out no more than it has: {change:?}");
        }
        let Some(journal) = entry.journal else { return };
        assert!(journal.is_balanced(), "{journal:?}");
        let source = (journal.source.clone(), journal.source_id.clone());
        assert!(self.sources.insert(source), "written twice: {journal:?}");
        for posting in journal.postings {
            *self.accounts.entry(posting.account).or_default() += posting.amount_nanos;
        }
    }
}

/// What the instances of one process manager remember.
struct Process<M: ProcessManager>(BTreeMap<String, M::State>);

impl<M: ProcessManager> Default for Process<M> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<M: ProcessManager> Process<M> {
    fn take_in(&mut self, happened: &Occurrence) -> Vec<Intent> {
        let Some(key) = M::correlate(happened) else { return vec![] };
        let state = M::evolve(self.0.get(&key).cloned().unwrap_or_default(), happened);
        if state == M::State::default() {
            return vec![];
        }
        let intents = M::react(&state, happened, &Settings::default());
        self.0.insert(key, state);
        intents
    }
}

/// What is decided, and what is still wanted of it.
#[derive(Default)]
pub struct Inside {
    streams: BTreeMap<(&'static str, String), Box<dyn Any + Send>>,
    pub books: Books,
    top_ups: Process<TopUp>,
    refunds: Process<RefundPayment>,
    disputes: Process<SettleDispute>,
    /// Not carried out yet.
    pub wanted: Vec<Intent>,
    /// What the provider was asked to make, by the bits of its id.
    pub asked: BTreeSet<u128>,
}

impl Inside {
    pub fn state<A: Decider>(&self, stream: &str) -> A {
        let known = self.streams.get(&(A::TYPE, stream.to_owned()));
        known.map_or_else(A::default, |state| state.downcast_ref::<A>().unwrap().clone())
    }

    pub fn all<A: Decider>(&self) -> BTreeMap<String, A> {
        let mine = self.streams.iter().filter(|((kind, _), _)| *kind == A::TYPE);
        let state = |state: &dyn Any| state.downcast_ref::<A>().unwrap().clone();
        mine.map(|((_, id), known)| (id.clone(), state(known.as_ref()))).collect()
    }

    pub fn execute<A: Decider>(
        &mut self,
        stream: &str,
        command: A::Command,
    ) -> Result<Executed, ExecuteError> {
        let mut state = self.state::<A>(stream);
        let decided = state.decide(command).map_err(|refusal| ExecuteError::Refused {
            code: refusal.code().to_owned(),
            message: refusal.to_string(),
            replayed: false,
        })?;
        for event in decided {
            let fact = fact(&event);
            state = state.evolve(event.clone());
            self.books.write(&state, &event);
            let happened = Occurrence {
                position: 1,
                recorded_at: NOW,
                event_type: String::new(),
                stream: stream.to_owned(),
                metadata: Metadata::default(),
                fact,
            };
            self.wanted.extend(self.top_ups.take_in(&happened));
            self.wanted.extend(self.refunds.take_in(&happened));
            self.wanted.extend(self.disputes.take_in(&happened));
        }
        self.streams.insert((A::TYPE, stream.to_owned()), Box::new(state));
        let (aggregate_id, result) = (stream.to_owned(), Value::Null);
        Ok(Executed { position: 1, aggregate_id, sequence: 1, result, replayed: false })
    }

    /// Does what an intent wants. False when it is refused and comes back, as what must be done in the end does.
    pub fn carry_out(&mut self, intent: &Intent) -> bool {
        let done = match &intent.action {
            Action::Command(command) => {
                let (wallet_id, wish) = command.clone().of_wallet(NOW).unwrap();
                self.execute::<Wallet>(&wallet_id, wish)
            }
            Action::Effect(Effect::RequestRefund { refund_id, payment_id, amount_nanos }) => {
                let request = self.request(*payment_id, *refund_id, *amount_nanos);
                self.execute::<Refund>(&refund_id.to_string(), request)
            }
            Action::Effect(Effect::CreatePayment { payment_id, .. }) => {
                self.asked.insert(payment_id.bits());
                return true;
            }
            Action::Effect(Effect::CreateRefund { refund_id }) => {
                self.asked.insert(refund_id.bits());
                return true;
            }
            // Whoever asks the provider later is in the history.
            Action::Timer(_) => return true,
            Action::Effect(other) => panic!("nobody asked for {other:?}"),
        };
        match done {
            Ok(_) => true,
            Err(refused) => {
                assert!(intent.action.persists(), "{refused}: {intent:?} calls an operator");
                false
            }
        }
    }

    fn request(
        &self,
        payment_id: PaymentId,
        refund_id: RefundId,
        amount_nanos: i64,
    ) -> RefundCommand {
        let payment: Payment = self.state(&payment_id.to_string());
        payment.refund((refund_id, amount_nanos), NOW).unwrap()
    }
}

/// An event that the process managers read.
fn fact(event: &dyn Any) -> Fact {
    if let Some(event) = event.downcast_ref::<PaymentEvent>() {
        Fact::Payment(event.clone())
    } else if let Some(event) = event.downcast_ref::<RefundEvent>() {
        Fact::Refund(event.clone())
    } else if let Some(event) = event.downcast_ref::<DisputeEvent>() {
        Fact::Dispute(event.clone())
    } else {
        Fact::Wallet(event.downcast_ref::<WalletEvent>().unwrap().clone())
    }
}

/// Where reports are recorded.
#[derive(Default)]
pub struct World(Mutex<Inside>);

impl World {
    pub fn inside(&self) -> std::sync::MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }
}

impl Desk for World {
    async fn known<A: Decider>(&self, stream: &str) -> Result<A, ExecuteError> {
        Ok(self.inside().state(stream))
    }

    async fn send<A: Decider>(
        &self,
        stream: &str,
        _: &str,
        command: A::Command,
    ) -> Result<Executed, ExecuteError>
    where
        A::Command: Clone,
    {
        self.inside().execute::<A>(stream, command)
    }
}

/// All that can be compared of two worlds: what their books and aggregates say, but not in which order they came to know it.
#[derive(Debug, PartialEq)]
pub struct Ledger {
    accounts: BTreeMap<String, i64>,
    held: BTreeMap<(String, String), i64>,
    payments: BTreeMap<String, Payment>,
    refunds: BTreeMap<String, Refund>,
    disputes: BTreeMap<String, Dispute>,
    /// Posted, held, and available with promotional credit.
    wallets: BTreeMap<String, [i64; 3]>,
    /// What is left of each lot.
    lots: BTreeMap<String, i64>,
    open_holds: BTreeMap<String, i64>,
    /// Whether each refund came back.
    returned: BTreeMap<String, bool>,
    /// Whether each dispute is over for the wallet, what is set aside for it, and whose it is once it was lost.
    disputed: BTreeMap<String, (bool, i64, Option<PaymentId>)>,
}

impl Ledger {
    pub fn of(world: &World) -> Self {
        let inside = world.inside();
        let wallets = inside.all::<Wallet>();
        let of =
            |wallet: &Wallet| [wallet.posted_nanos, wallet.held_nanos, wallet.available_nanos()];
        let each = || wallets.values();
        let lots = each().flat_map(|wallet| &wallet.lots);
        let holds = each().flat_map(|wallet| &wallet.holds);
        let refunds = each().flat_map(|wallet| &wallet.refunds);
        let disputed = each().flat_map(|wallet| &wallet.disputes);
        let lost = |id: &String| {
            let dispute: Dispute = inside.state(id);
            dispute.outcome == Some(cairn_payments::DisputeOutcome::Lost)
        };
        let not_zero = |amount: &&i64| **amount != 0;
        let books = &inside.books;
        let ledger = Self {
            accounts: books.accounts.iter().filter(|(_, n)| not_zero(n)).map(own).collect(),
            held: books.held.iter().filter(|(_, n)| not_zero(n)).map(own).collect(),
            payments: inside.all(),
            refunds: inside.all(),
            disputes: inside.all(),
            wallets: wallets.iter().map(|(id, wallet)| (id.clone(), of(wallet))).collect(),
            lots: lots.map(|lot| (lot.payment_id.to_string(), lot.remaining_nanos)).collect(),
            open_holds: holds
                .map(|(id, hold)| (id.clone(), hold.remaining_nanos()))
                .filter(|(_, left)| *left > 0)
                .collect(),
            returned: refunds.map(|(id, refund)| (id.clone(), refund.returned)).collect(),
            disputed: disputed
                .map(|(id, it)| {
                    let whose = it.payment_id.filter(|_| lost(id));
                    (id.clone(), (it.ended, it.held_nanos, whose))
                })
                .collect(),
        };
        ledger.check();
        ledger
    }

    /// What holds of every ledger.
    fn check(&self) {
        assert_eq!(self.accounts.values().sum::<i64>(), 0, "debits equal credits: {self:?}");
        let sum = |begins: &str| -> i64 {
            let mine = self.accounts.iter().filter(|(account, _)| account.starts_with(begins));
            mine.map(|(_, amount)| amount).sum()
        };
        let posted: i64 = self.wallets.values().map(|[posted, ..]| posted).sum();
        assert_eq!(-sum("wallet:paid:"), posted, "the books say what the wallet says: {self:?}");
        assert_eq!(self.lots.values().sum::<i64>(), posted, "lots sum to posted: {self:?}");
    }
}

fn own<K: Clone>((key, amount): (&K, &i64)) -> (K, i64) {
    (key.clone(), *amount)
}
