//! One history on its way to the ledger: the provider moves on, webhooks arrive or not, answers come late, and workers do what is wanted.
use std::ops::AddAssign;

use cairn_commands::ExecuteError;
use cairn_commands::payments::{
    PAID_AFTER_FAILURE, record_provider_dispute, record_provider_payment, record_provider_refund,
};
use cairn_core::{CreditId, Currency, HoldId, OrganisationId, PaymentId};
use cairn_ledger::{
    CaptureHold, GrantCredit, PlaceHold, ReserveRefund, Wallet, WalletCommand, wallet_id,
};
use cairn_payments::{Dispute, Payment, PaymentCommand, PaymentStatus, Refund, RefundStatus};
use futures::FutureExt as _;

use crate::dice::Dice;
use crate::provider::{History, NOW, Of, RefundWish, Said, Story};
use crate::world::World;

/// A history that is not over after so many steps never will be.
const STEPS_MAX: usize = 20_000;
const ORGANISATION: OrganisationId = OrganisationId::from_bits(1);

/// How it is heard of.
pub enum Manner {
    /// Each thing once, at once, and in order; what is wanted is done at once.
    Calm,
    Wild(Dice),
}

/// How often what makes it hard happened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bitten {
    pub moves: u64,
    pub duplicates: u64,
    pub lost: u64,
    /// Webhooks that were dealt with after a later one of the same object.
    pub reordered: u64,
    /// Answers that had become old before they were recorded.
    pub stale: u64,
    /// A report of a success after the refund had failed here.
    pub contradictions: u64,
    /// Wishes that were refused, and accepted later.
    pub refused: u64,
    pub repeated: u64,
    pub disputes_lost: u64,
    pub disputes_owed: u64,
    pub refunds_failed: u64,
    pub payments_failed: u64,
    pub foreign: u64,
}

impl Bitten {
    fn counts(&mut self) -> [&mut u64; 13] {
        [
            &mut self.moves,
            &mut self.duplicates,
            &mut self.lost,
            &mut self.reordered,
            &mut self.stale,
            &mut self.contradictions,
            &mut self.refused,
            &mut self.repeated,
            &mut self.disputes_lost,
            &mut self.disputes_owed,
            &mut self.refunds_failed,
            &mut self.payments_failed,
            &mut self.foreign,
        ]
    }

    pub fn all(mut self) -> bool {
        self.counts().into_iter().all(|count| *count > 0)
    }
}

impl AddAssign for Bitten {
    fn add_assign(&mut self, mut other: Self) {
        for (mine, more) in self.counts().into_iter().zip(other.counts()) {
            *mine += *more;
        }
    }
}

/// A webhook: what it is about will be looked up when it is dealt with.
#[derive(Clone, Copy)]
struct Notice {
    story: usize,
    step: usize,
}

struct Run<'a> {
    history: &'a History,
    world: World,
    /// How many of its moments each story is past.
    told: Vec<usize>,
    /// The latest moment of each story whose webhook was dealt with.
    heard: Vec<usize>,
    wishes: Vec<RefundWish>,
    inbox: Vec<Notice>,
    /// What was asked of the provider, and answered, and is not recorded yet.
    answers: Vec<(usize, Said)>,
    bitten: Bitten,
}

/// The world after a history.
pub fn run(history: &History, manner: &mut Manner) -> (World, Bitten) {
    let mut run = Run {
        history,
        world: World::default(),
        told: vec![0; history.stories.len()],
        heard: vec![0; history.stories.len()],
        wishes: history.wishes.clone(),
        inbox: vec![],
        answers: vec![],
        bitten: Bitten::default(),
    };
    run.begin();
    match manner {
        Manner::Calm => run.calmly(),
        Manner::Wild(dice) => run.wildly(dice),
    }
    run.count();
    (run.world, run.bitten)
}

impl Run<'_> {
    fn wallet(&self, command: WalletCommand) {
        let wallet_id = wallet_id(ORGANISATION, Currency::USD);
        self.world.inside().execute::<Wallet>(&wallet_id, command).unwrap();
    }

    /// What was there before, and what customers ask for.
    fn begin(&mut self) {
        if let Some((payment_id, [paid, used, kept])) = self.history.old {
            self.request((payment_id, paid));
            self.work_off();
            let (provider_id, charge_id) = ("pi_old".to_owned(), "ch_old".to_owned());
            let amount_nanos = paid;
            let succeed = PaymentCommand::Succeed { provider_id, charge_id, amount_nanos, at: NOW };
            self.world.inside().execute::<Payment>(&payment_id.to_string(), succeed).unwrap();
            self.work_off();
            let hold_id = HoldId::from_bits(1);
            let expires_at = NOW.plus_secs(864_000);
            self.wallet(WalletCommand::PlaceHold(PlaceHold {
                hold_id,
                purpose: "a rental".to_owned(),
                project_id: None,
                amount_nanos: used + kept,
                expires_at,
                at: NOW,
            }));
            self.wallet(WalletCommand::CaptureHold(CaptureHold {
                hold_id,
                total_nanos: used,
                seconds: 60,
                product: "compute".to_owned(),
                tax: None,
                keep_nanos: kept,
                expires_at,
                at: NOW,
            }));
        }
        if self.history.promotional_nanos > 0 {
            self.wallet(WalletCommand::GrantCredit(GrantCredit {
                organisation_id: ORGANISATION,
                currency: Currency::USD,
                credit_id: CreditId::from_bits(1),
                amount_nanos: self.history.promotional_nanos,
                expires_at: NOW.plus_secs(864_000),
                reason: "welcome".to_owned(),
                at: NOW,
            }));
        }
        for payment in &self.history.payments {
            self.request(*payment);
        }
    }

    fn request(&self, (payment_id, amount_nanos): (PaymentId, i64)) {
        let request = PaymentCommand::Request {
            payment_id,
            organisation_id: ORGANISATION,
            currency: Currency::USD,
            amount_nanos,
            payment_method: None,
            at: NOW,
        };
        self.world.inside().execute::<Payment>(&payment_id.to_string(), request).unwrap();
    }

    /// Does all that is wanted, in the order in which it was wanted.
    fn work_off(&self) {
        loop {
            let mut inside = self.world.inside();
            if inside.wanted.is_empty() {
                return;
            }
            let intent = inside.wanted.remove(0);
            assert!(inside.carry_out(&intent), "refused, though all came in order: {intent:?}");
        }
    }

    fn story(&self, number: usize) -> &Story {
        &self.history.stories[number]
    }

    /// As the provider has it now.
    fn stands(&self, story: usize) -> Said {
        self.story(story).says[self.told[story] - 1].clone()
    }

    /// Whether a story may go on: not before what it follows from.
    fn may_go_on(&self, number: usize) -> bool {
        let story = self.story(number);
        if self.told[number] == story.says.len() {
            return false;
        }
        let asked = |bits| self.world.inside().asked.contains(&bits);
        match story.of {
            Of::Payment(payment_id) => asked(payment_id.bits()),
            Of::Refund(_, refund_id) => asked(refund_id.bits()),
            // What was given back before is not questioned.
            Of::Dispute(payment_id) => {
                (0..self.told.len()).all(|other| match self.story(other).of {
                    Of::Payment(paid) if paid == payment_id => {
                        self.told[other] == self.story(other).says.len()
                    }
                    Of::Refund(of, _) if of == payment_id => self.told[other] > 0,
                    Of::Payment(_) | Of::Refund(..) | Of::Dispute(_) | Of::Foreign => true,
                })
            }
            Of::Foreign => true,
        }
    }

    fn going_on(&self) -> Vec<usize> {
        (0..self.told.len()).filter(|story| self.may_go_on(*story)).collect()
    }

    /// A wish that can be asked for: its payment is in the wallet.
    fn next_wish(&self) -> Option<usize> {
        if self.wishes.is_empty() {
            return None;
        }
        let wallet: Wallet = self.world.inside().state(&wallet_id(ORGANISATION, Currency::USD));
        let is_paid =
            |wish: &RefundWish| wallet.lots.iter().any(|lot| lot.payment_id == wish.payment_id);
        self.wishes.iter().position(is_paid)
    }

    fn wish(&mut self, number: usize) {
        let RefundWish { payment_id, refund_id, amount_nanos } = self.wishes.remove(number);
        let reason = "asked".to_owned();
        let reserve = ReserveRefund { refund_id, payment_id, amount_nanos, reason, at: NOW };
        self.wallet(WalletCommand::ReserveRefund(reserve));
    }

    fn record(&self, said: &Said) -> Result<(), ExecuteError> {
        let recorded = match said {
            Said::Payment(said) => record_provider_payment(&self.world, said, NOW).now_or_never(),
            Said::Refund(said) => record_provider_refund(&self.world, said, NOW).now_or_never(),
            Said::Dispute(said) => record_provider_dispute(&self.world, said, NOW).now_or_never(),
        };
        recorded.unwrap().map(drop)
    }

    /// Records what the provider said of an object, as the inbox and the effects do.
    fn hear(&mut self, story: usize, said: &Said) {
        match self.record(said) {
            Ok(()) => {}
            Err(ExecuteError::Refused { code, .. }) if code == PAID_AFTER_FAILURE => {
                self.bitten.contradictions += 1;
                // Perhaps it failed while it was asked about: asked once more.
                self.record(&self.stands(story)).unwrap();
            }
            Err(ExecuteError::Refused { code, .. }) if self.story(story).of == Of::Foreign => {
                assert!(["unknown_payment", "unknown_refund"].contains(&&*code), "{code}");
                self.bitten.foreign += 1;
            }
            Err(other) => panic!("{other}: {said:?}\n{:#?}", self.history),
        }
    }

    fn calmly(&mut self) {
        self.work_off();
        loop {
            if let Some(wish) = self.next_wish() {
                self.wish(wish);
            } else if let Some(story) = self.going_on().first().copied() {
                self.told[story] += 1;
                self.hear(story, &self.stands(story));
            } else {
                assert!(self.wishes.is_empty(), "{:#?}", self.history);
                return;
            }
            self.work_off();
        }
    }

    fn wildly(&mut self, dice: &mut Dice) {
        for _ in 0..STEPS_MAX {
            let something = match dice.below(8) {
                0 | 1 => self.go_on(dice),
                2 | 3 => self.deal_with(dice),
                4 => self.record_answer(dice),
                5 => self.ask(dice),
                6 => self.carry_out(dice),
                _ => self.next_wish().map(|wish| self.wish(wish)).is_some(),
            };
            if !something && self.is_still() && !self.poll_at_last() {
                assert!(self.wishes.is_empty(), "{:#?}", self.history);
                return;
            }
        }
        panic!("it never ends: {:?} {:#?}", self.world.inside().wanted, self.history);
    }

    /// Whether nothing is on its way any more.
    fn is_still(&self) -> bool {
        let idle = self.inbox.is_empty() && self.answers.is_empty();
        let done = idle && self.world.inside().wanted.is_empty();
        done && self.next_wish().is_none() && self.going_on().is_empty()
    }

    /// The provider moves on, and tells: once, often, or in vain.
    fn go_on(&mut self, dice: &mut Dice) -> bool {
        let going_on = self.going_on();
        if going_on.is_empty() {
            return false;
        }
        let story = dice.pick(&going_on);
        self.told[story] += 1;
        self.bitten.moves += 1;
        let copies = dice.pick(&[0, 1, 1, 1, 2, 3]);
        self.bitten.lost += u64::from(copies == 0);
        self.bitten.duplicates += u64::from(copies > 1);
        let notice = Notice { story, step: self.told[story] };
        self.inbox.extend(vec![notice; copies]);
        // The answer to the call that made it.
        if matches!(self.story(story).of, Of::Payment(_) | Of::Refund(..)) && dice.happens(50) {
            self.answers.push((story, self.stands(story)));
        }
        true
    }

    /// A webhook is dealt with: the object is looked up, and what is found is recorded now or later.
    fn deal_with(&mut self, dice: &mut Dice) -> bool {
        if self.inbox.is_empty() {
            return false;
        }
        let Notice { story, step } = self.inbox.swap_remove(dice.below(self.inbox.len()));
        self.bitten.reordered += u64::from(step < self.heard[story]);
        self.heard[story] = self.heard[story].max(step);
        let said = self.stands(story);
        match dice.happens(50) {
            true => self.answers.push((story, said)),
            false => self.hear(story, &said),
        }
        true
    }

    /// Whatever was answered, however old.
    fn record_answer(&mut self, dice: &mut Dice) -> bool {
        if self.answers.is_empty() {
            return false;
        }
        let (story, said) = self.answers.swap_remove(dice.below(self.answers.len()));
        self.bitten.stale += u64::from(said != self.stands(story));
        self.hear(story, &said);
        true
    }

    /// Somebody asks the provider of an object that it has.
    fn ask(&mut self, dice: &mut Dice) -> bool {
        let story = dice.below(self.told.len());
        let asks = self.told[story] > 0 && self.answers.len() < 8 && dice.happens(40);
        if asks {
            self.answers.push((story, self.stands(story)));
        }
        asks
    }

    /// A worker does something that is wanted, now and then twice.
    fn carry_out(&mut self, dice: &mut Dice) -> bool {
        let mut inside = self.world.inside();
        if inside.wanted.is_empty() {
            return false;
        }
        let place = dice.below(inside.wanted.len());
        let intent = inside.wanted.swap_remove(place);
        if !inside.carry_out(&intent) {
            self.bitten.refused += 1;
            inside.wanted.push(intent);
        } else if dice.happens(20) {
            self.bitten.repeated += 1;
            assert!(inside.carry_out(&intent), "accepted, and then refused: {intent:?}");
        }
        true
    }

    /// What no webhook told is found by asking, as the process managers do. Whether there was anything new.
    fn poll_at_last(&mut self) -> bool {
        let before: Vec<_> = self.heard.clone();
        for story in 0..self.told.len() {
            if self.told[story] > self.heard[story] {
                self.heard[story] = self.told[story];
                self.answers.push((story, self.stands(story)));
            }
        }
        before != self.heard
    }

    fn count(&mut self) {
        let inside = self.world.inside();
        let lost = |it: &&Dispute| it.outcome == Some(cairn_payments::DisputeOutcome::Lost);
        let count = |n: usize| u64::try_from(n).unwrap();
        self.bitten.disputes_lost = count(inside.all::<Dispute>().values().filter(lost).count());
        let owed = |account: &&String| account.starts_with("receivable:customer");
        self.bitten.disputes_owed = count(inside.books.accounts.keys().filter(owed).count());
        let failed = |it: &&Refund| it.status == RefundStatus::Failed;
        self.bitten.refunds_failed = count(inside.all::<Refund>().values().filter(failed).count());
        let failed = |it: &&Payment| it.status == PaymentStatus::Failed;
        let payments = inside.all::<Payment>();
        self.bitten.payments_failed = count(payments.values().filter(failed).count());
    }
}
