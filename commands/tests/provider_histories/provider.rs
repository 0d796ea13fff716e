//! The provider: what it says of each of its objects, from the first moment to the last, and what of it must have happened before.
use cairn_commands::ports::{
    ProviderDispute, ProviderDisputeLine, ProviderDisputeStanding as Standing, ProviderFee,
    ProviderOutcome, ProviderPayment, ProviderRefund,
};
use cairn_core::{Currency, Money, Nanos, PaymentId, RefundId, Timestamp};

use crate::dice::Dice;

pub const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// An object as it stands at a moment.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    Payment(ProviderPayment),
    Refund(ProviderRefund),
    Dispute(ProviderDispute),
}

/// One object's life.
#[derive(Debug, Clone)]
pub struct Story {
    /// What of ours it is, or is about: a payment's story, or that of a payment's refund or dispute.
    pub of: Of,
    pub says: Vec<Said>,
}

/// What a story is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Payment(PaymentId),
    Refund(PaymentId, RefundId),
    Dispute(PaymentId),
    /// Nothing that Cairn made.
    Foreign,
}

/// What a customer asks for as soon as the payment is in the wallet.
#[derive(Debug, Clone, Copy)]
pub struct RefundWish {
    pub payment_id: PaymentId,
    pub refund_id: RefundId,
    pub amount_nanos: Nanos,
}

/// All that happens in one history.
#[derive(Debug, Clone)]
pub struct History {
    /// Paid in long ago: how much, how much of it was used, and how much a rental has set aside.
    pub old: Option<(PaymentId, [Nanos; 3])>,
    pub promotional_nanos: Nanos,
    pub payments: Vec<(PaymentId, Nanos)>,
    pub wishes: Vec<RefundWish>,
    pub stories: Vec<Story>,
}

pub fn usd(nanos: Nanos) -> Money {
    Money::new(nanos, Currency::USD)
}

/// A history of chance. What a dispute takes is in the wallet as its own payment's money, or the wallet has nothing but that payment:
/// otherwise what is owed depends on what else a wallet has on the day that it hears of it, and must.
pub fn history(dice: &mut Dice) -> History {
    let mut made = History {
        old: None,
        promotional_nanos: if dice.happens(30) { dice.cents(1, 2_000) } else { 0 },
        payments: vec![],
        wishes: vec![],
        stories: vec![],
    };
    if dice.happens(40) {
        let paid = dice.cents(1_000, 5_000);
        let (used, kept) = (dice.cents(1, 500), dice.cents(1, 500));
        let payment_id = PaymentId::from_bits(100);
        made.old = Some((payment_id, [paid, used, kept]));
        if dice.happens(50) {
            made.stories.push(dispute(dice, payment_id, paid));
            return made;
        }
    }
    for number in 0..=dice.below(3) {
        let payment_id = PaymentId::from_bits(1 + u128::try_from(number).unwrap());
        pay(dice, &mut made, payment_id);
    }
    if dice.happens(10) {
        made.stories.push(foreign(dice));
    }
    made
}

/// A payment, what is given back of it, and that a bank questions the rest.
fn pay(dice: &mut Dice, made: &mut History, payment_id: PaymentId) {
    let amount_nanos = dice.cents(500, 5_000);
    made.payments.push((payment_id, amount_nanos));
    let succeeds = dice.happens(80);
    made.stories.push(payment(dice, (payment_id, amount_nanos), succeeds));
    if !succeeds {
        return;
    }
    let mut left_nanos = amount_nanos;
    for number in 0..dice.below(3) {
        let part = dice.cents(1, left_nanos / 10_000_000 / 2);
        left_nanos -= part;
        let bits = payment_id.bits() * 10 + u128::try_from(number).unwrap();
        let wish =
            RefundWish { payment_id, refund_id: RefundId::from_bits(bits), amount_nanos: part };
        made.wishes.push(wish);
        made.stories.push(refund(dice, wish));
    }
    if dice.happens(50) {
        made.stories.push(dispute(dice, payment_id, left_nanos));
    }
}

fn failed(code: &str) -> ProviderOutcome {
    ProviderOutcome::Failed { code: code.to_owned(), message: "it failed".to_owned() }
}

/// Pending, attempts that fail, and at last the money and then its fee; or never.
fn payment(
    dice: &mut Dice,
    (payment_id, amount_nanos): (PaymentId, Nanos),
    succeeds: bool,
) -> Story {
    let provider_id = format!("pi_{payment_id}");
    let stands = |outcome, charge: bool, fee_nanos: Option<Nanos>| {
        Said::Payment(ProviderPayment {
            provider_id: provider_id.clone(),
            payment_id: Some(payment_id),
            outcome,
            amount: usd(amount_nanos),
            charge_id: charge.then(|| format!("ch_{payment_id}")),
            charged_at: charge.then_some(NOW),
            fee: fee_nanos.map(|fee_nanos| ProviderFee {
                balance_transaction_id: format!("txn_{payment_id}"),
                fee_nanos,
            }),
        })
    };
    let mut says = vec![];
    for _ in 0..dice.below(3) {
        let declined = dice.pick(&["card_declined", "expired_card"]);
        says.push(match dice.below(2) {
            0 => stands(ProviderOutcome::Pending, false, None),
            _ => stands(failed(declined), false, None),
        });
    }
    if !succeeds {
        says.push(stands(failed("canceled"), false, None));
        return Story { of: Of::Payment(payment_id), says };
    }
    let fee_nanos = if dice.happens(90) { dice.cents(1, 200) } else { 0 };
    if dice.happens(30) {
        says.push(stands(ProviderOutcome::Succeeded, false, None));
    }
    if dice.happens(60) {
        says.push(stands(ProviderOutcome::Succeeded, true, None));
    }
    says.push(stands(ProviderOutcome::Succeeded, true, Some(fee_nanos)));
    Story { of: Of::Payment(payment_id), says }
}

/// Made at once or pending first; it may fail, also after it was made.
fn refund(dice: &mut Dice, wish: RefundWish) -> Story {
    let RefundWish { payment_id, refund_id, amount_nanos } = wish;
    let stands = |outcome| {
        Said::Refund(ProviderRefund {
            provider_id: format!("re_{refund_id}"),
            refund_id: Some(refund_id),
            outcome,
            amount: usd(amount_nanos),
        })
    };
    let ways: [&[ProviderOutcome]; 6] = [
        &[ProviderOutcome::Pending],
        &[ProviderOutcome::Succeeded],
        &[ProviderOutcome::Pending, ProviderOutcome::Succeeded],
        &[ProviderOutcome::Pending, failed("canceled")],
        &[ProviderOutcome::Succeeded, failed("lost_or_stolen_card")],
        &[ProviderOutcome::Pending, ProviderOutcome::Succeeded, failed("unknown")],
    ];
    let says = dice.pick(&ways).iter().cloned().map(stands).collect();
    Story { of: Of::Refund(payment_id, refund_id), says }
}

/// What the provider does with a dispute's money: takes it, or gives it back.
#[derive(Clone, Copy)]
enum Turn {
    Withdraw,
    Reinstate,
    Decide(Standing),
}

const LIVES: [&[Turn]; 9] = {
    use Turn::{Decide, Reinstate, Withdraw};
    [
        // An inquiry, or one that nobody has decided yet.
        &[],
        &[Decide(Standing::Won)],
        &[Withdraw],
        &[Withdraw, Decide(Standing::Won), Reinstate],
        &[Withdraw, Reinstate, Decide(Standing::Won)],
        &[Decide(Standing::Won), Withdraw, Reinstate],
        &[Withdraw, Decide(Standing::Lost)],
        &[Withdraw, Decide(Standing::Lost)],
        &[Decide(Standing::Lost), Withdraw],
    ]
};

fn dispute(dice: &mut Dice, payment_id: PaymentId, amount_nanos: Nanos) -> Story {
    let mut stands = ProviderDispute {
        provider_id: format!("du_{payment_id}"),
        payment_id: Some(payment_id),
        charge_id: format!("ch_{payment_id}"),
        amount: usd(amount_nanos),
        reason: "fraudulent".to_owned(),
        opened_at: NOW,
        standing: Standing::Open,
        lines: vec![],
    };
    let fee_nanos = if dice.happens(80) { dice.cents(1, 1_500) } else { 0 };
    let returned_nanos = if dice.happens(30) { -fee_nanos } else { 0 };
    let line = |way: &str, nanos, fee_nanos| ProviderDisputeLine {
        balance_transaction_id: format!("txn_{payment_id}_{way}"),
        amount: usd(nanos),
        fee_nanos,
        at: NOW,
    };
    let mut says = vec![];
    // It may be opened in the very moment in which the money is taken.
    if dice.happens(70) {
        says.push(Said::Dispute(stands.clone()));
    }
    for turn in dice.pick(&LIVES) {
        match turn {
            Turn::Withdraw => stands.lines.push(line("out", -amount_nanos, fee_nanos)),
            Turn::Reinstate => stands.lines.push(line("in", amount_nanos, returned_nanos)),
            Turn::Decide(standing) => stands.standing = *standing,
        }
        says.push(Said::Dispute(stands.clone()));
    }
    if says.is_empty() {
        says.push(Said::Dispute(stands));
    }
    Story { of: Of::Dispute(payment_id), says }
}

/// Somebody else's, in the same account at the provider.
fn foreign(dice: &mut Dice) -> Story {
    let (number, outcome) = (PaymentId::from_bits(900), ProviderOutcome::Succeeded);
    let said = match dice.below(3) {
        0 => match payment(dice, (number, usd(10_000_000).nanos), true).says.pop().unwrap() {
            Said::Payment(said) => Said::Payment(ProviderPayment { payment_id: None, ..said }),
            other => other,
        },
        1 => Said::Refund(ProviderRefund {
            provider_id: "re_foreign".to_owned(),
            refund_id: None,
            outcome,
            amount: usd(10_000_000),
        }),
        _ => match dispute(dice, number, 10_000_000).says.pop().unwrap() {
            Said::Dispute(said) => Said::Dispute(ProviderDispute { payment_id: None, ..said }),
            other => other,
        },
    };
    Story { of: Of::Foreign, says: vec![said] }
}
