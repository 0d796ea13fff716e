//! Random histories of a wallet against a simple model, its books and its own invariants.
//!
//! 20,000 histories; `PROPTEST_CASES` raises the number of each test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use std::collections::BTreeMap;

use cairn_core::testing::Stock;
use cairn_core::{Currency, Decider, HoldId, OrganisationId, PaymentId, Rate, RefundId, Timestamp};
use cairn_ledger::{
    CaptureHold, PlaceHold, ReserveRefund, TopUp, Wallet, WalletCommand, WalletEvent,
};
use proptest::prelude::*;

const ORGANISATION: OrganisationId = OrganisationId::from_bits(1);
const CENT: i64 = 10_000_000;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn histories(cases: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.max(cases), ..config }
}

fn command() -> impl Strategy<Value = WalletCommand> {
    let amount = || prop_oneof![4 => (0..40_i64).prop_map(|n| n * CENT), 1 => -2..3_i64];
    let hold = || (0..3_u128).prop_map(HoldId::from_bits);
    let payment = || (0..4_u128).prop_map(PaymentId::from_bits);
    let refund = || (0..3_u128).prop_map(RefundId::from_bits);
    let now = || 0..200_i64;
    prop_oneof![
        3 => (payment(), amount()).prop_map(|(payment_id, amount_nanos)| {
            WalletCommand::TopUp(TopUp {
                organisation_id: ORGANISATION,
                currency: Currency::USD,
                payment_id,
                amount_nanos,
                charge_id: payment_id.to_string(),
                at: at(0),
            })
        }),
        3 => (hold(), amount(), now(), now()).prop_map(|(hold_id, amount_nanos, expires, now)| {
            WalletCommand::PlaceHold(PlaceHold {
                hold_id,
                purpose: hold_id.to_string(),
                amount_nanos,
                expires_at: at(expires),
                at: at(now),
            })
        }),
        6 => (hold(), amount(), amount(), now(), now()).prop_map(
            |(hold_id, total_nanos, keep_nanos, expires, now)| {
                WalletCommand::CaptureHold(CaptureHold {
                    hold_id,
                    total_nanos,
                    seconds: now,
                    product: "compute".to_owned(),
                    keep_nanos,
                    expires_at: at(expires),
                    at: at(now),
                })
            }
        ),
        1 => hold().prop_map(|hold_id| WalletCommand::ReleaseHold { hold_id }),
        1 => now().prop_map(|now| WalletCommand::SweepExpired { at: at(now) }),
        2 => (refund(), payment(), amount(), now()).prop_map(
            |(refund_id, payment_id, amount_nanos, now)| {
                WalletCommand::ReserveRefund(ReserveRefund {
                    refund_id,
                    payment_id,
                    amount_nanos,
                    reason: "asked".to_owned(),
                    at: at(now),
                })
            }
        ),
        1 => refund().prop_map(|refund_id| {
            WalletCommand::ReturnRefund { refund_id, at: at(0) }
        }),
    ]
}

/// Pots of money, and nothing else: what goes in must come out.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    free: i64,
    lots: BTreeMap<String, (i64, i64)>,
    order: Vec<String>,
    /// Remaining, charged in all, expiry, open, closed for good.
    holds: BTreeMap<String, ModelHold>,
    refunds: BTreeMap<String, (String, i64, bool)>,
    used: i64,
    owed: i64,
    paid_out: i64,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct ModelHold {
    left: i64,
    charged: i64,
    expires: Timestamp,
    open: bool,
    closed: bool,
}

impl Model {
    /// Whether the command is accepted; a refusal leaves the model as it was.
    fn apply(&mut self, command: &WalletCommand) -> bool {
        let before = self.clone();
        let accepted = match command {
            WalletCommand::TopUp(c) => self.top_up(c),
            WalletCommand::PlaceHold(c) => self.place(c),
            WalletCommand::CaptureHold(c) => self.capture(c),
            WalletCommand::ReleaseHold { hold_id } => self.release(*hold_id),
            WalletCommand::SweepExpired { at } => {
                self.sweep(*at, None);
                true
            }
            WalletCommand::ReserveRefund(c) => self.reserve(c),
            WalletCommand::ReturnRefund { refund_id, .. } => self.take_back(*refund_id),
        };
        if !accepted {
            *self = before;
        }
        accepted
    }

    fn sweep(&mut self, now: Timestamp, except: Option<HoldId>) {
        let except = except.map(|id| id.to_string());
        for (id, hold) in &mut self.holds {
            if hold.open && hold.charged == 0 && hold.expires <= now && Some(id) != except.as_ref()
            {
                self.free += std::mem::take(&mut hold.left);
                hold.open = false;
            }
        }
    }

    fn top_up(&mut self, c: &TopUp) -> bool {
        let id = c.payment_id.to_string();
        if let Some((amount, _)) = self.lots.get(&id) {
            return *amount == c.amount_nanos;
        }
        self.free += c.amount_nanos;
        self.lots.insert(id.clone(), (c.amount_nanos, c.amount_nanos));
        self.order.push(id);
        c.amount_nanos > 0
    }

    fn place(&mut self, c: &PlaceHold) -> bool {
        if c.amount_nanos <= 0 {
            return false;
        }
        if self.holds.contains_key(&c.hold_id.to_string()) {
            return true;
        }
        self.sweep(c.at, None);
        self.free -= c.amount_nanos;
        let (left, expires) = (c.amount_nanos, c.expires_at);
        let hold = ModelHold { left, charged: 0, expires, open: true, closed: false };
        self.holds.insert(c.hold_id.to_string(), hold);
        self.free >= 0
    }

    fn capture(&mut self, c: &CaptureHold) -> bool {
        let Some(hold) = self.holds.get(&c.hold_id.to_string()).cloned() else { return false };
        let due = c.total_nanos - hold.charged;
        if hold.closed {
            return due <= 0;
        }
        if due < 0 || (due == 0 && !hold.open && c.expires_at <= hold.expires) {
            return true;
        }
        self.sweep(c.at, Some(c.hold_id));
        let mut hold = hold;
        let from_hold = due.min(hold.left);
        let from_free = (due - from_hold).min(self.free);
        hold.left -= from_hold;
        hold.charged += due;
        self.free -= from_free;
        self.owed += due - from_hold - from_free;
        self.used += due;
        self.consume(from_hold + from_free);
        if from_free > 0 {
            hold.open = true;
            hold.expires = hold.expires.max(c.expires_at);
        }
        let more = (c.keep_nanos - hold.left).max(0).min(self.free);
        if c.keep_nanos > 0 {
            hold.left += more;
            self.free -= more;
            let later = hold.expires.max(c.expires_at);
            hold.open |= more > 0 || later > hold.expires;
            hold.expires = later;
        }
        self.holds.insert(c.hold_id.to_string(), hold);
        true
    }

    fn consume(&mut self, mut amount: i64) {
        for id in &self.order {
            let (_, left) = self.lots.get_mut(id).unwrap();
            let taken = amount.min(*left);
            *left -= taken;
            amount -= taken;
        }
        assert_eq!(amount, 0, "lots cover what wallets pay");
    }

    fn release(&mut self, hold_id: HoldId) -> bool {
        let Some(hold) = self.holds.get_mut(&hold_id.to_string()) else { return false };
        self.free += std::mem::take(&mut hold.left);
        (hold.open, hold.closed) = (false, true);
        true
    }

    fn reserve(&mut self, c: &ReserveRefund) -> bool {
        let (id, payment) = (c.refund_id.to_string(), c.payment_id.to_string());
        if c.amount_nanos <= 0 {
            return false;
        }
        if let Some((known, amount, _)) = self.refunds.get(&id) {
            return (known, *amount) == (&payment, c.amount_nanos);
        }
        let Some((_, left)) = self.lots.get_mut(&payment) else { return false };
        *left -= c.amount_nanos;
        let fits = *left >= 0;
        self.sweep(c.at, None);
        self.free -= c.amount_nanos;
        self.paid_out += c.amount_nanos;
        self.refunds.insert(id, (payment, c.amount_nanos, false));
        fits && self.free >= 0 && c.amount_nanos % CENT == 0
    }

    fn take_back(&mut self, refund_id: RefundId) -> bool {
        let Some((payment, amount, returned)) = self.refunds.get_mut(&refund_id.to_string()) else {
            return false;
        };
        if !std::mem::replace(returned, true) {
            self.lots.get_mut(payment).unwrap().1 += *amount;
            self.free += *amount;
            self.paid_out -= *amount;
        }
        true
    }
}

/// What the facts write: account balances, and reserved, captured and released of each hold.
#[derive(Debug, Default)]
struct Books {
    accounts: BTreeMap<String, i128>,
    holds: BTreeMap<HoldId, i64>,
    sources: std::collections::BTreeSet<(String, String)>,
}

impl Books {
    fn write(&mut self, after: &Wallet, event: &WalletEvent) {
        let Some(entry) = after.book_entry(event) else { return };
        if let Some(journal) = entry.journal {
            assert!(journal.is_balanced(), "{journal:?}");
            assert!(self.sources.insert((journal.source, journal.source_id)), "written twice");
            for posting in journal.postings {
                *self.accounts.entry(posting.account).or_default() +=
                    i128::from(posting.amount_nanos);
            }
        }
        if let Some(change) = entry.hold {
            let moved = change.reserved_nanos - change.captured_nanos - change.released_nanos;
            *self.holds.entry(change.hold_id).or_default() += moved;
        }
    }

    fn of(&self, prefix: &str) -> i64 {
        let matching = self.accounts.iter().filter(|(code, _)| code.starts_with(prefix));
        i64::try_from(matching.map(|(_, amount)| amount).sum::<i128>()).unwrap()
    }
}

fn check(wallet: &Wallet, model: &Model, books: &Books) {
    let lots: i64 = wallet.lots.iter().map(|lot| lot.remaining_nanos).sum();
    let open: i64 = wallet.holds.values().map(cairn_ledger::Hold::remaining_nanos).sum();
    assert_eq!(lots, wallet.posted_nanos, "lots sum to posted");
    assert_eq!(open, wallet.held_nanos, "open holds sum to held");
    assert!(wallet.available_nanos() >= 0, "available is never negative");
    assert!(wallet.lots.iter().all(|lot| (0..=lot.amount_nanos).contains(&lot.remaining_nanos)));

    assert_eq!(wallet.available_nanos(), model.free);
    for lot in &wallet.lots {
        assert_eq!(model.lots[&lot.payment_id.to_string()].1, lot.remaining_nanos);
    }
    for (id, hold) in &wallet.holds {
        let expected = &model.holds[id];
        assert_eq!(hold.remaining_nanos(), expected.left);
        assert_eq!(hold.captured_nanos + hold.overrun_nanos, expected.charged);
        assert_eq!(hold.expires_at, expected.expires);
    }

    assert_eq!(-books.of("wallet:"), wallet.posted_nanos);
    assert_eq!(-books.of("usage:"), model.used);
    assert_eq!(books.of("receivable:"), model.owed);
    assert_eq!(-books.of("refund_payable"), model.paid_out);
    assert_eq!(books.accounts.values().sum::<i128>(), 0, "debits equal credits");
    assert_eq!(books.holds.values().sum::<i64>(), wallet.held_nanos);
}

fn keeps_the_books(commands: Vec<WalletCommand>) -> Result<(), TestCaseError> {
    let (mut wallet, mut model, mut books) =
        (Wallet::default(), Model::default(), Books::default());
    for command in commands {
        let accepted = model.apply(&command);
        let decided = wallet.decide(command.clone());
        prop_assert_eq!(decided.is_ok(), accepted, "{:?} gives {:?}", command, decided);
        for event in decided.into_iter().flatten() {
            wallet = wallet.evolve(event.clone());
            books.write(&wallet, &event);
        }
        check(&wallet, &model, &books);
        if accepted {
            prop_assert_eq!(wallet.decide(command.clone()).unwrap(), vec![], "{:?}", command);
        }
    }
    let state = serde_json::to_string(&wallet).unwrap();
    prop_assert_eq!(serde_json::from_str::<Wallet>(&state).unwrap(), wallet);
    Ok(())
}

// Two tests, so that two cores share them.
proptest! {
    #![proptest_config(histories(14_000))]

    #[test]
    fn every_short_history_keeps_the_books(commands in prop::collection::vec(command(), 1..12)) {
        keeps_the_books(commands)?;
    }
}

proptest! {
    #![proptest_config(histories(6_000))]

    #[test]
    fn every_long_history_keeps_the_books(commands in prop::collection::vec(command(), 12..30)) {
        keeps_the_books(commands)?;
    }
}

fn rental(nanos_per_hour: i64, ticks: &[i64]) -> Wallet {
    let hold_id = HoldId::from_bits(1);
    let rate = Rate { nanos_per_hour, currency: Currency::USD };
    let top_up = WalletCommand::TopUp(TopUp {
        organisation_id: ORGANISATION,
        currency: Currency::USD,
        payment_id: PaymentId::from_bits(1),
        amount_nanos: 1_000_000 * 1_000_000_000,
        charge_id: "ch".to_owned(),
        at: at(0),
    });
    let hold = WalletCommand::PlaceHold(PlaceHold {
        hold_id,
        purpose: "alloc".to_owned(),
        amount_nanos: rate.total(600).unwrap().max(1),
        expires_at: at(600),
        at: at(0),
    });
    let tick = |seconds: &i64| {
        WalletCommand::CaptureHold(CaptureHold {
            hold_id,
            total_nanos: rate.total(*seconds).unwrap(),
            seconds: *seconds,
            product: "compute".to_owned(),
            keep_nanos: rate.total(600).unwrap(),
            expires_at: at(seconds + 600),
            at: at(*seconds),
        })
    };
    let commands = [top_up, hold].into_iter().chain(ticks.iter().map(tick));
    commands.fold(Wallet::default(), |wallet, command| {
        wallet.handle_at_once(command).map(|(after, _)| after).unwrap()
    })
}

proptest! {
    #[test]
    fn any_ticks_in_any_order_charge_the_same_total(
        nanos_per_hour in 1..10_000_000_000_i64,
        seconds in 1..100_000_i64,
        mut ticks in prop::collection::vec(1..100_000_i64, 0..20),
        order in any::<prop::sample::Index>(),
    ) {
        let once = rental(nanos_per_hour, &[seconds]);
        ticks.retain(|tick| *tick <= seconds);
        ticks.insert(order.index(ticks.len() + 1), seconds);
        ticks.extend(ticks.clone());
        let often = rental(nanos_per_hour, &ticks);
        let charged = |wallet: &Wallet| {
            wallet.holds.values().map(|hold| hold.captured_nanos + hold.overrun_nanos).sum::<i64>()
        };
        prop_assert_eq!(charged(&once), charged(&often));
        prop_assert_eq!(once.posted_nanos, often.posted_nanos);
        prop_assert_eq!(once.available_nanos(), often.available_nanos());
        let exact = Rate { nanos_per_hour, currency: Currency::USD }.total(seconds).unwrap();
        prop_assert_eq!(charged(&often), exact);
    }
}
