//! What topping up, refunding, verifying a node and draining it want, as data.
mod support;

use cairn_commands::processes::drain_node::DrainNode;
use cairn_commands::processes::intent::Credit;
use cairn_commands::processes::refund_payment::RefundPayment;
use cairn_commands::processes::top_up::TopUp;
use cairn_commands::processes::verify_node::VerifyNode;
use cairn_commands::processes::{
    Awoken, Command, Effect, Fact, Intent, Occurrence, Settings, Status, Timer,
};
use cairn_compute::ReleaseReason;
use cairn_core::Currency;
use cairn_fleet::{Link, NodeEvent, NodeFacts, Policy};
use cairn_ledger::WalletEvent;
use cairn_payments::{PaymentEvent, RefundEvent};
use support::react::{
    ALLOCATION, NODE, NOW, ORGANISATION, PAYMENT, REFUND, RESOURCES, at, command, effect, given,
    journal, node, timer, wallet, wallet_id,
};

fn payment(event: PaymentEvent) -> Occurrence {
    at(PAYMENT, Fact::Payment(event))
}

fn payment_requested() -> Occurrence {
    payment(PaymentEvent::Requested {
        payment_id: PAYMENT,
        organisation_id: ORGANISATION,
        currency: Currency::USD,
        amount_nanos: 10,
        payment_method: Some("pm_1".to_owned()),
        at: NOW,
    })
}

fn payment_submitted() -> Occurrence {
    payment(PaymentEvent::Submitted { provider_id: "pi_1".to_owned(), at: NOW })
}

fn payment_succeeded() -> Occurrence {
    let (provider_id, charge_id) = ("pi_1".to_owned(), "ch_1".to_owned());
    payment(PaymentEvent::Succeeded { provider_id, charge_id, amount_nanos: 10, at: NOW })
}

fn payment_failed() -> Occurrence {
    let (code, message) = ("card_declined".to_owned(), String::new());
    payment(PaymentEvent::Failed { code, message, at: NOW })
}

fn fee_recorded() -> Occurrence {
    let balance_transaction_id = "txn_1".to_owned();
    let journal = Some(journal());
    payment(PaymentEvent::FeeRecorded { balance_transaction_id, fee_nanos: 1, journal })
}

fn topped_up() -> Occurrence {
    wallet(WalletEvent::ToppedUp {
        organisation_id: ORGANISATION,
        currency: Currency::USD,
        payment_id: PAYMENT,
        amount_nanos: 10,
        journal: journal(),
    })
}

#[test]
fn a_top_up_pays_then_credits_what_the_provider_has_even_after_a_failed_attempt() {
    let create =
        Effect::CreatePayment { payment_id: PAYMENT, payment_method: Some("pm_1".to_owned()) };
    assert_eq!(
        given::<TopUp>(&[]).when(payment_requested()),
        [effect(create, 20 * 3_600), timer(Timer::Poll, 2)]
    );
    let credit = command(Command::TopUpWallet(Credit {
        organisation_id: ORGANISATION,
        currency: Currency::USD,
        payment_id: PAYMENT,
        amount_nanos: 10,
        charge_id: "ch_1".to_owned(),
        at: Some(NOW),
    }));
    for before in [payment_submitted(), payment_failed()] {
        let history = [payment_requested(), before];
        let failed = history[1] == payment_failed();
        let mut wanted = vec![credit.clone()];
        // Its timer had ended, and the fee is not known yet.
        wanted.extend(failed.then(|| timer(Timer::Poll, 2)));
        assert_eq!(given::<TopUp>(&history).when(payment_succeeded()), wanted, "{failed}");
    }
}

#[test]
fn a_top_up_asks_ever_more_rarely_until_the_money_and_the_fee_are_there() {
    let mut history = vec![payment_requested()];
    let unborn = given::<TopUp>(&history).due(Timer::Poll, 2);
    assert_eq!(unborn, Awoken { intents: vec![], again_at: Some(NOW.plus_secs(2 + 4)) });
    history.push(payment_submitted());
    let retrieve =
        Intent::effect(Effect::RetrievePayment { payment_id: PAYMENT, last: false }, None);
    let again = Awoken { intents: vec![retrieve], again_at: Some(NOW.plus_secs(2 + 4)) };
    assert_eq!(given::<TopUp>(&history).due(Timer::Poll, 2), again);
    history.push(payment_succeeded());
    assert_eq!(given::<TopUp>(&history).due(Timer::Poll, 2), again, "the fee is missing");
    history.push(fee_recorded());
    assert_eq!(given::<TopUp>(&history).due(Timer::Poll, 2), Awoken::default());
    given::<TopUp>(&history).is(Status::Running);
    history.push(topped_up());
    given::<TopUp>(&history).is(Status::Done);
    let failed = [payment_requested(), payment_failed()];
    assert_eq!(given::<TopUp>(&failed).due(Timer::Poll, 2), Awoken::default());
    given::<TopUp>(&failed).is(Status::Unwound);
    let last = Effect::RetrievePayment { payment_id: PAYMENT, last: true };
    let ends = Awoken { intents: vec![Intent::effect(last, None)], again_at: None };
    for unsettled in 1..=3 {
        let at_last = given::<TopUp>(&history[..unsettled]).due(Timer::Poll, 36 * 86_400);
        assert_eq!(at_last, ends, "not for ever, and not in silence");
    }
    let waits: Vec<i64> = (0..14).map(|run| Settings::default().poll_wait(run)).collect();
    assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600, 3600]);
}

fn refund(event: RefundEvent) -> Occurrence {
    at(REFUND, Fact::Refund(event))
}

fn refund_reserved() -> Occurrence {
    wallet(WalletEvent::RefundReserved {
        refund_id: REFUND,
        payment_id: PAYMENT,
        amount_nanos: 10,
        reason: "r".to_owned(),
        journal: journal(),
    })
}

fn refund_requested() -> Occurrence {
    refund(RefundEvent::Requested {
        refund_id: REFUND,
        payment_id: PAYMENT,
        organisation_id: ORGANISATION,
        currency: Currency::USD,
        amount_nanos: 10,
        charge_id: "ch_1".to_owned(),
        at: NOW,
    })
}

fn refund_submitted() -> Occurrence {
    refund(RefundEvent::Submitted { provider_id: "re_1".to_owned(), at: NOW })
}

fn refund_succeeded() -> Occurrence {
    let provider_id = "re_1".to_owned();
    refund(RefundEvent::Succeeded { provider_id, amount_nanos: 10, at: NOW, journal: journal() })
}

fn refund_failed() -> Occurrence {
    refund(RefundEvent::Failed { code: "lost_card".to_owned(), at: NOW, journal: None })
}

#[test]
fn a_refund_names_its_charge_then_pays_then_watches() {
    let request =
        Effect::RequestRefund { refund_id: REFUND, payment_id: PAYMENT, amount_nanos: 10 };
    assert_eq!(
        given::<RefundPayment>(&[]).when(refund_reserved()),
        [Intent::effect(request, None)]
    );
    let mut history = vec![refund_reserved()];
    assert_eq!(
        given::<RefundPayment>(&history).when(refund_requested()),
        [effect(Effect::CreateRefund { refund_id: REFUND }, 20 * 3_600), timer(Timer::Poll, 2)]
    );
    history.extend([refund_requested(), refund_submitted()]);
    let retrieve =
        || vec![Intent::effect(Effect::RetrieveRefund { refund_id: REFUND, last: false }, None)];
    assert_eq!(
        given::<RefundPayment>(&history).due(Timer::Poll, 2),
        Awoken { intents: retrieve(), again_at: Some(NOW.plus_secs(6)) }
    );
    history.push(refund_succeeded());
    given::<RefundPayment>(&history).is(Status::Done);
    assert_eq!(
        given::<RefundPayment>(&history).due(Timer::Poll, 2),
        Awoken { intents: retrieve(), again_at: Some(NOW.plus_secs(2 + 86_400)) },
        "it may still fail"
    );
}

#[test]
fn a_failed_refund_returns_the_money_also_after_a_success() {
    let back = command(Command::ReturnRefund { wallet_id: wallet_id(), refund_id: REFUND });
    let pending = [refund_reserved(), refund_requested(), refund_submitted()];
    let wanted = given::<RefundPayment>(&pending).when(refund_failed());
    assert_eq!(wanted, std::slice::from_ref(&back));
    let paid = [refund_reserved(), refund_requested(), refund_submitted(), refund_succeeded()];
    assert_eq!(given::<RefundPayment>(&paid).when(refund_failed()), [back]);
    let amount_nanos = 10;
    let returned =
        wallet(WalletEvent::RefundReturned { refund_id: REFUND, amount_nanos, journal: journal() });
    given::<RefundPayment>(&[refund_reserved(), refund_requested(), refund_failed(), returned])
        .is(Status::Unwound);
}

fn enrolled() -> Occurrence {
    let facts = NodeFacts {
        hostname: "n".to_owned(),
        os: "o".to_owned(),
        helper_version: "1".to_owned(),
        cgroup: "v2".to_owned(),
        total: RESOURCES,
        last_uid: 0,
    };
    node(NodeEvent::Enrolled {
        address: "n".to_owned(),
        port: 22,
        host_keys: vec![],
        facts,
        capacity: RESOURCES,
        host_certificate_serial: 1,
        at: NOW,
    })
}

fn invited(expires_secs: i64) -> Occurrence {
    node(NodeEvent::Invited {
        node_id: NODE,
        name: "n".to_owned(),
        token_sha256: "aa".to_owned(),
        expires_at: NOW.plus_secs(expires_secs),
        at: NOW,
    })
}

#[test]
fn an_invitation_that_nobody_took_is_declared_over_at_its_end() {
    let deadline = Timer::InvitationDeadline { since: 7 };
    assert_eq!(given::<VerifyNode>(&[]).when(invited(1_800)), [timer(deadline, 1_800)]);
    let expires_at = NOW.plus_secs(1_800);
    let over = || Awoken {
        intents: vec![command(Command::ExpireInvitation { node_id: NODE, expires_at })],
        again_at: None,
    };
    assert_eq!(given::<VerifyNode>(&[invited(1_800)]).due(deadline, 1_800), over());
    let older = Timer::InvitationDeadline { since: 6 };
    assert_eq!(given::<VerifyNode>(&[invited(1_800)]).due(older, 1_800), Awoken::default());
    let expired = || node(NodeEvent::InvitationExpired { at: expires_at });
    for after in [enrolled(), expired()] {
        let history = [invited(1_800), after];
        assert_eq!(given::<VerifyNode>(&history).due(deadline, 1_800), Awoken::default());
    }
    given::<VerifyNode>(&[invited(1_800)]).is(Status::Waiting);
    given::<VerifyNode>(&[invited(1_800), expired()]).is(Status::Unwound);
    let again = [invited(1_800), expired(), invited(1_800)];
    assert_eq!(given::<VerifyNode>(&again).due(deadline, 1_800), over());
    given::<VerifyNode>(&[invited(1_800), expired(), invited(1), enrolled()]).is(Status::Running);
}

#[test]
fn a_node_is_probed_until_it_passes_and_watched_from_then_on() {
    let probe = Intent::effect(Effect::ProbeNode { node_id: NODE }, None);
    assert_eq!(given::<VerifyNode>(&[]).when(enrolled()), std::slice::from_ref(&probe));
    let failed = || node(NodeEvent::ProbeFailed { reason: "r".to_owned(), at: NOW });
    assert_eq!(
        given::<VerifyNode>(&[enrolled()]).when(failed()),
        [probe.not_before(NOW.plus_secs(5))]
    );
    let passed = || node(NodeEvent::ProbePassed { at: NOW });
    let watch = Timer::Watch { since: 7 };
    assert_eq!(given::<VerifyNode>(&[enrolled()]).when(passed()), [timer(watch, 30)]);
    let look = |suspect_since, seen: i64| {
        let seen_at = Some(NOW.plus_secs(seen));
        Effect::WatchNode { node_id: NODE, suspect_since, seen_at }
    };
    let history = vec![enrolled(), passed()];
    assert_eq!(
        given::<VerifyNode>(&history).due(watch, 30),
        Awoken {
            intents: vec![Intent::effect(look(None, 0), None)],
            again_at: Some(NOW.plus_secs(60)),
        }
    );
    assert_eq!(
        given::<VerifyNode>(&history).due_late(watch, 60, 3_600),
        Awoken {
            intents: vec![Intent::effect(look(None, 30), None)],
            again_at: Some(NOW.plus_secs(60 + 3_600 + 30)),
        },
        "nobody has looked since the last look that was in time"
    );
    let mut suspect = history.clone();
    suspect.push(node(NodeEvent::LinkChanged { link: Link::Suspect, at: NOW }));
    assert_eq!(
        given::<VerifyNode>(&suspect).due(watch, 30),
        Awoken {
            intents: vec![Intent::effect(look(Some(NOW), 0), None)],
            again_at: Some(NOW.plus_secs(35)),
        },
        "sooner"
    );
    let compare = Intent::effect(Effect::CompareInventory { node_id: NODE }, None);
    let back = || node(NodeEvent::LinkChanged { link: Link::Resyncing, at: NOW });
    assert_eq!(given::<VerifyNode>(&history).when(back()), std::slice::from_ref(&compare));
    let resyncing = [enrolled(), passed(), back()];
    let awoken = given::<VerifyNode>(&resyncing).due(watch, 30);
    assert_eq!(awoken.again_at, Some(NOW.plus_secs(35)), "sooner");
    assert_eq!(awoken.intents, [Intent::effect(look(None, 0), None), compare.clone()]);
    let daily = given::<VerifyNode>(&history).due(watch, 86_400);
    assert_eq!(daily.intents[1..], [compare]);
    let older = Timer::Watch { since: 6 };
    assert_eq!(given::<VerifyNode>(&history).due(older, 30), Awoken::default());
}

#[test]
fn a_quarantined_or_retired_node_is_left_alone() {
    let quarantined = || node(NodeEvent::Quarantined { reason: "r".to_owned(), at: NOW });
    let retired = || {
        let (policy, reason) = (Policy::Retired, "r".to_owned());
        node(NodeEvent::PolicyChanged { policy, reason, at: NOW })
    };
    for end in [quarantined(), retired()] {
        let history = [enrolled(), node(NodeEvent::ProbePassed { at: NOW }), end];
        let watch = Timer::Watch { since: 7 };
        assert_eq!(given::<VerifyNode>(&history).due(watch, 30), Awoken::default());
    }
    given::<VerifyNode>(&[enrolled(), quarantined()]).is(Status::Unwound);
    given::<VerifyNode>(&[enrolled(), retired()]).is(Status::Done);
}

#[test]
fn a_draining_node_releases_what_is_still_there_after_a_while() {
    let draining = || {
        let (policy, reason) = (Policy::Draining, "r".to_owned());
        node(NodeEvent::PolicyChanged { policy, reason, at: NOW })
    };
    let (allocation_id, resources) = (ALLOCATION, RESOURCES);
    let taken = node(NodeEvent::CapacityReserved { allocation_id, resources, uid: 1, at: NOW });
    let drain = Timer::DrainDeadline { since: 7 };
    assert_eq!(
        given::<DrainNode>(std::slice::from_ref(&taken)).when(draining()),
        [timer(drain, 3_600)]
    );
    let reason = ReleaseReason::Operator;
    let busy = vec![taken, draining()];
    assert_eq!(
        given::<DrainNode>(&busy).due(drain, 3_600),
        Awoken {
            intents: vec![command(Command::RequestRelease { allocation_id, reason })],
            again_at: Some(NOW.plus_secs(3_660)),
        }
    );
    given::<DrainNode>(&busy).is(Status::Running);
    let older = Timer::DrainDeadline { since: 6 };
    assert_eq!(given::<DrainNode>(&busy).due(older, 3_600), Awoken::default());
    let mut empty = busy.clone();
    empty.push(node(NodeEvent::CapacityReleased { allocation_id, at: NOW }));
    assert_eq!(given::<DrainNode>(&empty).due(drain, 3_600), Awoken::default());
    given::<DrainNode>(&empty).is(Status::Done);
    let mut kept = busy;
    let (policy, reason) = (Policy::Schedulable, "r".to_owned());
    kept.push(node(NodeEvent::PolicyChanged { policy, reason, at: NOW }));
    assert_eq!(given::<DrainNode>(&kept).due(drain, 3_600), Awoken::default());
}
