//! Mail to people: which event asks for which letter, as data.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
mod support;

use cairn_commands::processes::send_mail::SendMail;
use cairn_commands::processes::{
    Effect, Fact, FundsNews, Intent, Letter, PaperKind, PaymentNews, ProcessManager as _,
};
use cairn_core::{Currency, Decider as _, InvitationId, OrganisationId, UserId};
use cairn_finance::credit_note::{Creditable, IssueCreditNote, Wanted};
use cairn_finance::{CreditNoteCommand, CreditNoteSeries, InvoiceEvent, InvoiceSeries};
use cairn_identity::{LinkPurpose, OrganisationEvent, Role, UserEvent};
use cairn_ledger::{Assessment, DunningEvent, Stage};
use cairn_payments::PaymentEvent;
use support::papers;
use support::react::{NOW, PAYMENT, at, given};

#[test]
fn a_code_is_sent_as_long_as_it_works() {
    let (user_id, purpose) = (UserId::from_bits(1), LinkPurpose::VerifyEmail);
    let (token, expires_at) = ("personal:1:k:AA".to_owned(), NOW.plus_secs(60));
    let requested = UserEvent::LinkRequested {
        purpose,
        token: token.clone(),
        token_sha256: "h".to_owned(),
        expires_at,
        at: NOW,
    };
    let letter = Letter::Code { user_id, purpose, token };
    let send = Intent::effect(Effect::SendMail { letter, until: expires_at }, Some(expires_at));
    let requested = at(user_id, Fact::User(requested));
    assert_eq!(given::<SendMail>(&[]).when(requested), [send]);
}

#[test]
fn an_invitation_goes_to_the_address_that_was_invited() {
    let (organisation_id, until) = (OrganisationId::from_bits(1), NOW.plus_secs(60));
    let (email, token) = ("personal:1:k:AA".to_owned(), "personal:1:k:BB".to_owned());
    let invited = OrganisationEvent::MemberInvited {
        invitation_id: InvitationId::from_bits(1),
        email: email.clone(),
        email_index: "i".to_owned(),
        role: Role::Viewer,
        token: token.clone(),
        token_sha256: "h".to_owned(),
        expires_at: until,
        at: NOW,
    };
    let letter = Letter::Invitation { organisation_id, email, role: Role::Viewer, token };
    let send = Intent::effect(Effect::SendMail { letter, until }, Some(until));
    let invited = at(organisation_id, Fact::Organisation(invited));
    assert_eq!(given::<SendMail>(&[]).when(invited), [send]);
}

#[test]
fn nothing_else_asks_for_a_letter() {
    let user_id = UserId::from_bits(1);
    for event in [UserEvent::EmailVerified { at: NOW }, UserEvent::SignInFailed { at: NOW }] {
        assert_eq!(SendMail::correlate(&at(user_id, Fact::User(event))), None);
    }
}

#[test]
fn what_becomes_of_the_money_is_written_once_for_each_step_down_and_each_stage_that_costs_something()
 {
    let seen = Assessment {
        organisation_id: OrganisationId::from_bits(1),
        currency: Currency::EUR,
        funds_nanos: 5,
        nanos_per_hour: 1,
        lasts_secs: None,
        running: 1,
        suspended: 0,
        refused: false,
        suspended_secs: 1,
        retention_secs: 1,
        at: NOW,
    };
    let crossed = |from_hours, to_hours| {
        let runs_out_at = Some(NOW.plus_secs(7));
        let crossed = DunningEvent::RunwayCrossed { from_hours, to_hours, runs_out_at, seen };
        at("wallet", Fact::Dunning(crossed))
    };
    let changed = |from, to| {
        let changed = DunningEvent::StageChanged { from, to, until: None, seen };
        at("wallet", Fact::Dunning(changed))
    };
    let letter = |about| Letter::Funds { seen, about };
    let until = NOW.plus_secs(86_400);
    let send = |about| {
        vec![Intent::effect(Effect::SendMail { letter: letter(about), until }, Some(until))]
    };
    let runs_out = FundsNews::RunsOut { hours: 24, runs_out_at: NOW.plus_secs(7) };
    assert_eq!(given::<SendMail>(&[]).when(crossed(Some(72), Some(24))), send(runs_out));
    let stage = |stage| FundsNews::Stage { stage, until: None };
    let stopped = changed(Stage::Grace, Stage::Suspended);
    assert_eq!(given::<SendMail>(&[]).when(stopped), send(stage(Stage::Suspended)));
    let again = changed(Stage::Suspended, Stage::Low);
    assert_eq!(given::<SendMail>(&[]).when(again), send(stage(Stage::Low)));
    for silent in [
        crossed(Some(2), Some(24)),
        crossed(Some(2), None),
        changed(Stage::Ok, Stage::Low),
        changed(Stage::Low, Stage::Ok),
    ] {
        assert_eq!(SendMail::correlate(&silent), None, "{silent:?}");
    }
}

#[test]
fn who_has_gone_away_is_told_of_a_payment_that_waits_and_of_one_that_fails_late() {
    let paid = |event| at(PAYMENT, Fact::Payment(event));
    let waits = || paid(PaymentEvent::ActionRequired { at: NOW });
    let failed = || {
        let (code, message) = ("insufficient_funds".to_owned(), "no".to_owned());
        paid(PaymentEvent::Failed { code, message, at: NOW })
    };
    let send = |news, until| {
        let letter = Letter::Payment { payment_id: PAYMENT, news };
        Intent::effect(Effect::SendMail { letter, until }, Some(until))
    };
    let until = NOW.plus_secs(86_400);
    let waiting = send(PaymentNews::ActionRequired { until }, until);
    let later = waiting.not_before(NOW.plus_secs(600));
    assert_eq!(given::<SendMail>(&[]).when(waits()), [later], "who is at the browser is not");
    let late = send(PaymentNews::FailedLate { code: "insufficient_funds".to_owned() }, until);
    let begun = || paid(PaymentEvent::ProcessingBegun { at: NOW });
    assert_eq!(given::<SendMail>(&[]).when(begun()), []);
    assert_eq!(given::<SendMail>(&[waits(), begun()]).when(failed()), [late]);
    assert_eq!(given::<SendMail>(&[waits()]).when(failed()), [], "whoever paid was there");
    let submitted = PaymentEvent::Submitted { provider_id: "pi_1".to_owned(), at: NOW };
    assert_eq!(SendMail::correlate(&paid(submitted)), None);
}

#[test]
fn a_paper_is_sent_for_a_month_and_calls_an_operator_after_three_days() {
    let organisation_id = OrganisationId::from_bits(1);
    let wish = papers::wish(organisation_id, ("all", &[5]), NOW);
    let [InvoiceEvent::Issued { invoice }] = &InvoiceSeries::default().decide(wish).unwrap()[..]
    else {
        panic!("one invoice");
    };
    let wish = IssueCreditNote {
        series: "CN".to_owned(),
        issuer: invoice.issuer.clone(),
        organisation_id,
        customer: None,
        currency: Currency::USD,
        invoice: Creditable::of(invoice),
        wanted: Wanted { line: None, amount_nanos: None },
        correction: None,
        reason: "the node was slow".to_owned(),
        at: NOW,
    };
    let wish = CreditNoteCommand::Issue(Box::new(wish));
    let note = CreditNoteSeries::default().decide(wish).unwrap().remove(0);
    let issued = InvoiceEvent::Issued { invoice: invoice.clone() };
    let (until, give_up_at) = (NOW.plus_secs(30 * 86_400), NOW.plus_secs(3 * 86_400));
    for (stream, fact, paper, number) in [
        ("CN", Fact::Invoice(issued), PaperKind::Invoice, &invoice.number[..]),
        ("CN-C", Fact::CreditNote(note), PaperKind::CreditNote, "CN-C-2027-000001"),
    ] {
        let letter = Letter::Paper { organisation_id, paper, number: number.to_owned() };
        let send = Intent::effect(Effect::SendMail { letter, until }, Some(give_up_at));
        let waits = serde_json::to_string(&send).unwrap();
        assert!(waits.len() < 500, "what waits holds no file: {waits}");
        assert_eq!(given::<SendMail>(&[]).when(at(stream, fact)), [send]);
    }
}
