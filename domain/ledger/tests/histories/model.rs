//! Pots of money, and nothing else: what goes in must come out.
mod disputes;

use std::collections::{BTreeMap, BTreeSet};

use cairn_core::{CreditId, DisputeId, HoldId, PaymentId, ProjectId, RefundId, TaxRate, Timestamp};
use cairn_ledger::{
    CaptureHold, CorrectCharge, GrantCredit, PlaceHold, ReserveRefund, TopUp, WalletCommand,
};

use super::CENT;
use super::books::exact_net;
use super::projects::Projects;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model {
    /// Paid, and in no hold.
    pub free: i64,
    pub lots: BTreeMap<String, (i64, i64)>,
    order: Vec<String>,
    /// In the order of their ends.
    credits: Vec<ModelCredit>,
    pub holds: BTreeMap<String, ModelHold>,
    refunds: BTreeMap<String, (String, i64, bool)>,
    /// Whether it has ended, and whose it is.
    disputes: BTreeMap<String, (bool, Option<PaymentId>)>,
    notes: BTreeSet<String>,
    /// Beyond which nothing is set aside, and what was used of it.
    stop: Option<i64>,
    spent: i64,
    pub projects: Projects,
    /// Paid for lost disputes, and owed for them.
    pub lost: (i64, i64),
    pub used: i64,
    /// In what was paid for usage and what is owed for it.
    pub tax: i64,
    pub owed: i64,
    pub paid_out: i64,
    pub granted: i64,
    pub lapsed: i64,
}

#[derive(Debug, Clone, PartialEq)]
struct ModelCredit {
    id: CreditId,
    amount: i64,
    left: i64,
    expires: Timestamp,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelHold {
    pub paid: i64,
    pub credit: i64,
    /// In all.
    pub charged: i64,
    /// By which payment, grant or (none) debt, one after the other.
    sources: Vec<(Option<String>, i64)>,
    pub expires: Timestamp,
    open: bool,
    /// Whether anything was ever charged, given back or not.
    used: bool,
    /// For good.
    closed: bool,
    /// The rate at which it was charged last, and all that was charged at it without a change.
    taxed: Option<(TaxRate, i64)>,
}

/// How much more tax there is in all that was charged at a rate.
fn tax(hold: &mut ModelHold, paid: i64, rate: Option<&TaxRate>) -> i64 {
    let Some(rate) = rate else {
        hold.taxed = None;
        return 0;
    };
    let same = hold.taxed.take().filter(|(known, _)| known == rate);
    let before = same.map_or(0, |(_, before)| before);
    hold.taxed = Some((rate.clone(), before + paid));
    let in_all = |gross: i64| gross - exact_net(gross, rate.ppm);
    in_all(before + paid) - in_all(before)
}

impl Model {
    /// Whether the command is accepted; a refusal leaves the model as it was.
    pub fn apply(&mut self, command: &WalletCommand) -> bool {
        let before = self.clone();
        let accepted = match command {
            WalletCommand::TopUp(c) => self.top_up(c),
            WalletCommand::GrantCredit(c) => self.grant(c),
            WalletCommand::PlaceHold(c) => self.place(c),
            WalletCommand::CaptureHold(c) => self.capture(c),
            WalletCommand::CaptureLate { capture, .. } => self.capture_late(capture),
            WalletCommand::CorrectCharge(c) => self.correct(c),
            WalletCommand::ReleaseHold { hold_id, at } => self.release(*hold_id, *at),
            WalletCommand::SweepExpired { at } => {
                self.sweep(*at, None);
                true
            }
            WalletCommand::HoldDisputed { dispute_id, payment_id, amount_nanos, at } => {
                self.dispute(*dispute_id, (*payment_id, *amount_nanos), *at)
            }
            WalletCommand::ReleaseDisputed { dispute_id } => {
                let kept = self.end_dispute(*dispute_id);
                self.free += kept.unwrap_or_default();
                true
            }
            WalletCommand::LoseDisputed(c) => self.lose(c),
            WalletCommand::SetSpendingLimits { limits, .. } => {
                self.stop = limits.stop_nanos;
                true
            }
            WalletCommand::SetProjectLimits { project_id, limits, .. } => {
                self.projects.limit(*project_id, limits.stop_nanos);
                true
            }
            // What is told moves nothing.
            WalletCommand::SetAlerts { .. } | WalletCommand::SetProjectAlerts { .. } => true,
            WalletCommand::ReserveRefund(c) => self.reserve(c),
            WalletCommand::ReturnRefund { refund_id, .. } => self.take_back(*refund_id),
            WalletCommand::CreditUsage { note, debits, .. } => {
                self.credit(note, debits.iter().map(|(_, amount)| amount).sum())
            }
        };
        if !accepted {
            *self = before;
        }
        accepted
    }

    pub fn credit_left(&self, id: CreditId) -> i64 {
        self.credits.iter().find(|credit| credit.id == id).unwrap().left
    }

    /// Credit that no hold has.
    pub fn free_credit(&self) -> i64 {
        self.credits.iter().map(|credit| credit.left).sum::<i64>() - self.held_credit()
    }

    /// What may be set aside, of what is free.
    fn usable(&self, project: Option<ProjectId>) -> i64 {
        let disputed = |id: &String| {
            self.disputes.keys().any(|one| {
                let bits = one.parse::<DisputeId>().unwrap().bits();
                HoldId::from_bits(bits).to_string() == *id
            })
        };
        let aside = self.holds.iter().filter(|(id, _)| !disputed(id));
        let aside: i64 = aside.map(|(_, hold)| hold.paid + hold.credit).sum();
        let free = self.free + self.free_credit();
        let whole = self.stop.map(|stop| (stop - self.spent - aside).max(0));
        let holds = self.holds.iter().map(|(id, hold)| (id, hold.paid + hold.credit));
        whole.into_iter().chain(self.projects.room(project, holds)).fold(free, i64::min)
    }

    fn held_credit(&self) -> i64 {
        self.holds.values().map(|hold| hold.credit).sum()
    }

    /// On its way out, or out.
    pub fn refunded(&self, payment: PaymentId) -> i64 {
        let payment = payment.to_string();
        let of_it = |(whose, amount, returned): &(String, i64, bool)| {
            (*whose == payment && !returned).then_some(*amount)
        };
        self.refunds.values().filter_map(of_it).sum()
    }

    fn sweep(&mut self, now: Timestamp, except: Option<HoldId>) {
        let except = except.map(|id| id.to_string());
        for (id, hold) in &mut self.holds {
            if hold.open && !hold.used && hold.expires <= now && Some(id) != except.as_ref() {
                self.free += std::mem::take(&mut hold.paid);
                hold.credit = 0;
                hold.open = false;
            }
        }
        self.lapse(now);
    }

    /// Holds keep what is over as long as they can: what they leave is taken from the latest of it.
    fn lapse(&mut self, now: Timestamp) {
        let over = self.credits.iter().filter(|credit| credit.expires <= now);
        let mut gone = (over.map(|credit| credit.left).sum::<i64>() - self.held_credit()).max(0);
        self.lapsed += gone;
        for credit in self.credits.iter_mut().rev().filter(|credit| credit.expires <= now) {
            let taken = gone.min(credit.left);
            credit.left -= taken;
            gone -= taken;
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

    fn grant(&mut self, c: &GrantCredit) -> bool {
        let known = self.credits.iter().find(|credit| credit.id == c.credit_id);
        if let Some(known) = known {
            return (known.amount, known.expires) == (c.amount_nanos, c.expires_at);
        }
        let (amount, expires) = (c.amount_nanos, c.expires_at);
        self.credits.push(ModelCredit { id: c.credit_id, amount, left: amount, expires });
        self.credits.sort_by_key(|credit| credit.expires);
        self.granted += amount;
        amount > 0 && expires > c.at
    }

    fn place(&mut self, c: &PlaceHold) -> bool {
        if c.amount_nanos <= 0 {
            return false;
        }
        if self.holds.contains_key(&c.hold_id.to_string()) {
            return true;
        }
        self.sweep(c.at, None);
        if c.amount_nanos > self.usable(c.project_id) {
            return false;
        }
        let credit = c.amount_nanos.min(self.free_credit());
        let paid = c.amount_nanos - credit;
        self.free -= paid;
        let expires = c.expires_at;
        let hold = ModelHold { paid, credit, expires, open: true, ..ModelHold::default() };
        self.holds.insert(c.hold_id.to_string(), hold);
        self.projects.assign(&c.hold_id.to_string(), c.project_id);
        self.free >= 0
    }

    fn capture(&mut self, c: &CaptureHold) -> bool {
        let id = c.hold_id.to_string();
        let Some(mut hold) = self.holds.get(&id).cloned() else { return false };
        let due = c.total_nanos - hold.charged;
        if hold.closed {
            return due <= 0;
        }
        if due < 0 || (due == 0 && !hold.open && c.expires_at <= hold.expires) {
            return true;
        }
        self.sweep(c.at, Some(c.hold_id));
        let beyond = (due - hold.paid - hold.credit).max(0);
        let more = beyond.min(self.free + self.free_credit());
        if more > 0 {
            hold = self.fill(&id, hold, more);
            hold.open = true;
            hold.expires = hold.expires.max(c.expires_at);
        }
        let pays = due - (beyond - more);
        let credit = pays.min(hold.credit);
        hold.credit -= credit;
        hold.paid -= pays - credit;
        hold.charged += due;
        hold.used |= due > 0;
        self.owed += beyond - more;
        self.used += due;
        self.spent += due;
        self.projects.count(&id, due);
        if due > 0 {
            self.tax += tax(&mut hold, due - credit, c.tax.as_ref());
        }
        hold.sources.extend(self.consume(pays - credit, credit));
        hold.sources.push((None, beyond - more));
        self.holds.insert(id.clone(), hold.clone());
        let wanted = (c.keep_nanos - hold.paid - hold.credit).max(0);
        let more = wanted.min(self.usable(self.projects.of(&id)));
        if c.keep_nanos > 0 {
            hold = self.fill(&id, hold, more);
            let later = hold.expires.max(c.expires_at);
            hold.open |= more > 0 || later > hold.expires;
            hold.expires = later;
        }
        self.holds.insert(id, hold);
        true
    }

    /// As if it were open, and given back again.
    fn capture_late(&mut self, c: &CaptureHold) -> bool {
        let id = c.hold_id.to_string();
        let Some(hold) = self.holds.get_mut(&id) else { return false };
        if c.total_nanos <= hold.charged {
            return true;
        }
        let closed = std::mem::take(&mut hold.closed);
        let accepted = self.capture(&CaptureHold { keep_nanos: 0, ..c.clone() });
        if let Some(hold) = self.holds.get_mut(&id).filter(|_| closed) {
            (hold.closed, hold.open) = (true, false);
        }
        accepted
    }

    /// Credit first.
    fn fill(&mut self, id: &str, mut hold: ModelHold, more: i64) -> ModelHold {
        let credit = more.min(self.free_credit());
        self.free -= more - credit;
        hold.credit += credit;
        hold.paid += more - credit;
        self.holds.insert(id.to_owned(), hold.clone());
        hold
    }

    /// What is taken of which: credit first.
    fn consume(&mut self, mut paid: i64, mut credit: i64) -> Vec<(Option<String>, i64)> {
        let mut sources = vec![];
        for one in &mut self.credits {
            let taken = credit.min(one.left);
            one.left -= taken;
            credit -= taken;
            sources.push((Some(one.id.to_string()), taken));
        }
        for id in &self.order {
            let (_, left) = self.lots.get_mut(id).unwrap();
            let taken = paid.min(*left);
            *left -= taken;
            paid -= taken;
            sources.push((Some(id.clone()), taken));
        }
        assert_eq!((paid, credit), (0, 0), "lots and credit cover what wallets pay");
        sources
    }

    /// The way back of a charge, from its end.
    fn correct(&mut self, c: &CorrectCharge) -> bool {
        let Some(mut hold) = self.holds.get(&c.hold_id.to_string()).cloned() else { return false };
        let amount = hold.charged - c.total_nanos;
        if amount <= 0 {
            return true;
        }
        let (mut rest, mut beyond, mut credit) = (amount, 0, 0);
        while let Some((source, taken)) = hold.sources.pop() {
            let back = rest.min(taken);
            rest -= back;
            if back < taken {
                hold.sources.push((source.clone(), taken - back));
            }
            let granted = self.credits.iter_mut().find(|one| Some(one.id.to_string()) == source);
            match (source, granted) {
                (None, _) => self.owed -= back,
                (Some(_), Some(granted)) => {
                    (granted.left, credit) = (granted.left + back, credit + back);
                }
                (Some(id), None) => {
                    self.free += back;
                    beyond += back - self.put_back(&id, back);
                }
            }
            if rest == 0 {
                break;
            }
        }
        let taxable = amount - credit;
        let rate = hold.taxed.clone();
        if rate.as_ref().is_some_and(|(_, before)| *before < taxable) {
            return false;
        }
        self.tax += tax(&mut hold, -taxable, rate.as_ref().map(|(rate, _)| rate));
        hold.charged -= amount;
        self.used -= amount;
        if c.invoiced.is_none() {
            self.spent -= amount;
            self.projects.count(&c.hold_id.to_string(), -amount);
        }
        self.holds.insert(c.hold_id.to_string(), hold);
        let covered = self.put_back_last(beyond);
        self.lapse(c.at);
        rest == 0 && covered
    }

    /// As much of an amount as is gone of a payment, and was not refunded.
    fn put_back(&mut self, id: &str, amount: i64) -> i64 {
        let refunded = self.refunded(id.parse().unwrap());
        let (whole, left) = self.lots.get_mut(id).unwrap();
        let back = amount.min(*whole - *left - refunded).max(0);
        *left += back;
        back
    }

    /// Into what was used last, disputed payments at the end; whether all of it fits.
    fn put_back_last(&mut self, amount: i64) -> bool {
        let disputed: BTreeSet<_> =
            self.disputes.values().filter_map(|it| it.1).map(|id| id.to_string()).collect();
        let is_disputed = |id: &String| disputed.contains(id);
        let (last, first): (Vec<_>, Vec<_>) =
            self.order.clone().into_iter().rev().partition(is_disputed);
        let mut rest = amount;
        for id in first.into_iter().chain(last) {
            rest -= self.put_back(&id, rest);
        }
        rest == 0
    }

    fn release(&mut self, hold_id: HoldId, now: Timestamp) -> bool {
        let Some(hold) = self.holds.get_mut(&hold_id.to_string()) else { return false };
        if hold.closed {
            return true;
        }
        self.free += std::mem::take(&mut hold.paid);
        (hold.credit, hold.open, hold.closed) = (0, false, true);
        self.lapse(now);
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
        if self.disputes.values().any(|it| *it == (false, Some(c.payment_id))) {
            return false;
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

    /// Into what was used last, disputed payments at the end.
    fn credit(&mut self, note: &str, amount: i64) -> bool {
        if !self.notes.insert(note.to_owned()) {
            return true;
        }
        self.free += amount;
        self.used -= amount;
        amount > 0 && self.put_back_last(amount)
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
