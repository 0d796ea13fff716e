//! A wallet that is filled again by itself: what that wants, as data, and on a real database in virtual time, with every step repeated and every
//! worker dying: money is taken once.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
mod support;

use std::sync::Arc;

use cairn_commands::payments::{SetAutoTopUp, set_auto_top_up};
use cairn_commands::processes::charge_top_up::ChargeTopUp;
use cairn_commands::processes::fill_wallet::FillWallet;
use cairn_commands::processes::send_mail::SendMail;
use cairn_commands::processes::{
    Action, Command, Effect, Fact, Intent, Letter, Occurrence, ProcessManager as _, Settings,
    Status, Timer, TopUpNews, operator,
};
use cairn_compute::{Allocation, AllocationStatus};
use cairn_core::{
    AllocationId, Currency, Decider, HoldId, Month, OrganisationId, PaymentMethodId, UserId,
};
use cairn_identity::{Organisation, OrganisationCommand};
use cairn_ledger::{PlaceHold, Wallet, WalletCommand, WalletEvent};
use cairn_payments::{
    AutoTopUp, AutoTopUpEvent, MethodCommand, MethodDetails, PaymentEvent, PaymentMethods,
    Standing, Terms,
};
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use support::faults::Mode;
use support::harness::{Harness, Memory, usd};
use support::provider::DECLINED;
use support::react::{
    NOW, ORGANISATION, PAYMENT, at, command, given, journal, timer, wallet, wallet_id,
};
use support::stories;

type Options = PgConnectOptions;

fn told(event: AutoTopUpEvent) -> Occurrence {
    at(wallet_id(), Fact::AutoTopUp(event))
}

fn set(enabled: bool) -> Occurrence {
    told(AutoTopUpEvent::Set {
        organisation_id: ORGANISATION,
        currency: Currency::USD,
        enabled,
        terms: None,
        payment_method: None,
        at: NOW,
    })
}

fn begun() -> Occurrence {
    told(AutoTopUpEvent::Begun {
        attempt: 1,
        payment_id: PAYMENT,
        amount_nanos: 10,
        available_nanos: 1,
        month: Month::of(NOW).unwrap(),
        at: NOW,
    })
}

fn declined(again_secs: Option<i64>) -> Occurrence {
    told(AutoTopUpEvent::Declined {
        payment_id: PAYMENT,
        amount_nanos: 10,
        code: "card_declined".to_owned(),
        declines: 1,
        again_at: again_secs.map(|secs| NOW.plus_secs(secs)),
        at: NOW,
    })
}

fn suspended() -> Occurrence {
    told(AutoTopUpEvent::Suspended { code: "lost_card".to_owned(), declines: 1, at: NOW })
}

fn refused() -> Occurrence {
    wallet(WalletEvent::HoldExtensionRefused {
        hold_id: HoldId::from_bits(1),
        wanted_nanos: 2,
        available_nanos: 0,
        remaining_nanos: 1,
    })
}

fn look() -> Vec<Intent> {
    vec![Intent::effect(Effect::LookAtWallet { wallet_id: wallet_id() }, None)]
}

#[test]
fn whatever_leaves_less_is_looked_at_as_long_as_it_is_on() {
    assert_eq!(given::<FillWallet>(&[]).when(refused()), [], "nobody wants it filled");
    assert_eq!(given::<FillWallet>(&[]).when(set(true)), look());
    assert_eq!(given::<FillWallet>(&[set(true)]).when(refused()), look());
    assert_eq!(given::<FillWallet>(&[set(true)]).due(Timer::TopUpAgain, 1).intents, look());
    for over in [set(false), suspended()] {
        let history = [set(true), over];
        assert_eq!(given::<FillWallet>(&history).when(refused()), []);
        assert_eq!(given::<FillWallet>(&history).due(Timer::TopUpAgain, 1).intents, []);
    }
    let again = given::<FillWallet>(&[set(true), begun()]).when(declined(Some(3_600)));
    assert_eq!(again, [timer(Timer::TopUpAgain, 3_600)]);
    assert_eq!(given::<FillWallet>(&[set(true), begun()]).when(declined(None)), []);
}

#[test]
fn an_attempt_asks_for_its_payment_and_hears_how_it_ended() {
    let failed = at(
        PAYMENT,
        Fact::Payment(PaymentEvent::Failed {
            code: "card_declined".to_owned(),
            message: String::new(),
            at: NOW,
        }),
    );
    let topped_up = wallet(WalletEvent::ToppedUp {
        organisation_id: ORGANISATION,
        currency: Currency::USD,
        payment_id: PAYMENT,
        amount_nanos: 10,
        journal: journal(),
    });
    let (wallet_id, payment_id) = (wallet_id(), PAYMENT);
    let request = Effect::RequestTopUp { wallet_id: wallet_id.clone(), payment_id };
    assert_eq!(given::<ChargeTopUp>(&[]).when(begun()), [Intent::effect(request, None)]);
    assert_eq!(given::<ChargeTopUp>(&[]).when(topped_up.clone()), [], "somebody else's payment");
    let succeed = Command::SucceedTopUp { wallet_id: wallet_id.clone(), payment_id };
    assert_eq!(
        given::<ChargeTopUp>(&[begun()]).when(topped_up.clone()),
        [command(succeed.clone())]
    );
    let decline = Command::DeclineTopUp { wallet_id, payment_id, code: "card_declined".to_owned() };
    assert_eq!(given::<ChargeTopUp>(&[begun()]).when(failed.clone()), [command(decline)]);
    let after_all = [begun(), failed];
    given::<ChargeTopUp>(&after_all).is(Status::Unwound);
    assert_eq!(given::<ChargeTopUp>(&after_all).when(topped_up), [command(succeed)]);
}

#[test]
fn who_sees_to_the_money_is_told_of_each_end_once() {
    let news = |happened: Occurrence| {
        let wanted = given::<SendMail>(&[]).when(happened);
        let [Intent { action: Action::Effect(Effect::SendMail { letter, .. }), .. }] = &wanted[..]
        else {
            panic!("{wanted:?}")
        };
        match letter.clone() {
            Letter::TopUp { organisation_id: ORGANISATION, currency: Currency::USD, news } => news,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(news(declined(Some(60))), TopUpNews::Declined { amount_nanos: 10, .. }));
    assert!(matches!(news(suspended()), TopUpNews::Suspended { declines: 1, .. }));
    assert_eq!(SendMail::correlate(&declined(None)), None, "the suspension says it");
    assert_eq!(SendMail::correlate(&begun()), None);
}

/// An organisation without any money.
struct Story {
    harness: Harness,
    memory: Arc<Memory>,
    organisation: OrganisationId,
}

impl Story {
    async fn begin(db: Options) -> Self {
        let memory = Memory::new();
        // Few ticks and looks, so that little but the story happens.
        let settings = Settings {
            tick_seconds: 300,
            tick_lag_seconds: 2,
            assessment_seconds: 7_200,
            watch_seconds: 86_400,
            ..Settings::default()
        };
        let harness = Harness::start_with(db, Arc::clone(&memory) as _, settings).await;
        let organisation = harness.organisation();
        Self { harness, memory, organisation }
    }

    fn wallet_id(&self) -> String {
        cairn_ledger::wallet_id(self.organisation, Currency::USD)
    }

    /// Ten units when less than four are left, up to a cap.
    async fn set(&self, cap: Option<i64>, payment_method: &str) {
        let input = SetAutoTopUp {
            organisation_id: self.organisation,
            currency: Currency::USD,
            enabled: true,
            terms: cap.map(|cap| Terms {
                threshold_nanos: usd(4).nanos,
                amount_nanos: usd(10).nanos,
                monthly_cap_nanos: usd(cap).nanos,
            }),
            payment_method: Some(payment_method.to_owned()),
        };
        let (commands, context) = (&self.harness.commands, self.harness.context());
        set_auto_top_up(commands, &context, input).await.unwrap();
    }

    /// So many units are set aside.
    async fn spend(&self, units: i64) {
        let now = self.harness.clock_now();
        let hold = WalletCommand::PlaceHold(PlaceHold {
            hold_id: HoldId::from_bits(self.harness.commands.ids.next()),
            purpose: "a test".to_owned(),
            project_id: None,
            amount_nanos: usd(units).nanos,
            expires_at: now.plus_secs(90 * 86_400),
            at: now,
        });
        let (executor, context) = (&self.harness.commands.executor, self.harness.context());
        executor.execute::<Wallet>(&self.wallet_id(), hold, &context, Value::Null).await.unwrap();
    }

    async fn tell<A: Decider>(&self, id: &str, command: A::Command)
    where
        A::Command: Clone,
    {
        let (executor, context) = (&self.harness.commands.executor, self.harness.context());
        executor.execute::<A>(id, command, &context, Value::Null).await.unwrap();
    }

    async fn state(&self) -> AutoTopUp {
        self.harness.load(&self.wallet_id()).await
    }

    async fn available(&self) -> i64 {
        let wallet = stories::wallet(&self.harness, self.organisation).await;
        wallet.available_nanos() / usd(1).nanos
    }

    fn taken(&self) -> usize {
        self.memory.provider.payments().len()
    }

    async fn count(&self, event_type: &str) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM events WHERE event_type = $1")
            .bind(event_type)
            .fetch_one(self.harness.pool())
            .await
            .unwrap()
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wallet_that_runs_low_is_filled_within_its_cap_and_no_faster(
    _: PgPoolOptions,
    db: Options,
) {
    let mut story = Story::begin(db).await;
    story.set(Some(20), "pm_card_visa").await;
    story.harness.run_for(30).await;
    assert_eq!((story.taken(), story.available().await), (1, 10), "an empty wallet is low");
    story.spend(7).await;
    story.harness.run_for(500).await;
    assert_eq!(story.taken(), 1, "it pauses after a success");
    story.harness.run_for(200).await;
    assert_eq!((story.taken(), story.available().await), (2, 13), "and is looked at after that");
    story.spend(10).await;
    story.harness.run_for(900).await;
    story.spend(1).await;
    story.harness.run_for(900).await;
    assert_eq!(story.taken(), 2, "the cap is reached");
    assert_eq!(story.count("auto_top_up.cap_reached").await, 1, "and told once");
    let month = Month::of(story.harness.clock_now()).unwrap();
    story.harness.clock.advance_to(month.ends_at().plus_secs(-60));
    story.harness.run_for(59).await;
    assert_eq!(story.taken(), 2);
    story.harness.run_for(60).await;
    assert_eq!((story.taken(), story.available().await), (3, 12), "the next month has room");
    assert_eq!(story.state().await.taken_in(month.next()), usd(10).nanos);
    assert_eq!(operator::waiting(story.harness.pool()).await.unwrap(), 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_burst_is_stopped_and_only_a_person_starts_it_again(_: PgPoolOptions, db: Options) {
    let mut story = Story::begin(db).await;
    story.set(Some(1_000), "pm_card_visa").await;
    for taken in 1..=3 {
        story.harness.run_for(700).await;
        assert_eq!(story.taken(), taken);
        story.spend(10).await;
    }
    story.harness.run_for(7_200).await;
    assert_eq!((story.taken(), story.state().await.standing), (3, Standing::Stopped));
    assert_eq!(story.count("auto_top_up.stopped").await, 1);
    story.set(None, "pm_card_visa").await;
    story.harness.run_for(60).await;
    assert_eq!((story.taken(), story.state().await.standing), (4, Standing::On));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_card_that_is_declined_is_tried_less_often_and_then_not_at_all(
    _: PgPoolOptions,
    db: Options,
) {
    let mut story = Story::begin(db).await;
    story.set(Some(100), DECLINED).await;
    for (seconds, attempts) in [(60, 1), (3_500, 1), (100, 2), (6 * 3_600, 3), (24 * 3_600, 4)] {
        story.harness.run_for(seconds).await;
        assert_eq!(story.state().await.attempts, attempts, "after {seconds} s more");
    }
    assert_eq!(story.state().await.standing, Standing::Suspended);
    story.harness.run_for(7 * 86_400).await;
    assert_eq!((story.state().await.attempts, story.taken()), (4, 0));
    story.set(None, "pm_card_visa").await;
    story.harness.run_for(60).await;
    assert_eq!((story.taken(), story.available().await), (1, 10));
    let found = story.state().await;
    assert_eq!((found.standing, found.declines), (Standing::On, 0));
}

#[sqlx::test(migrations = "../migrations")]
async fn what_was_suspended_for_want_of_money_goes_on_once_it_is_filled(
    _: PgPoolOptions,
    db: Options,
) {
    let mut story = Story::begin(db).await;
    stories::top_up(&mut story.harness, story.organisation, 4).await;
    let id: AllocationId = stories::rent(&mut story.harness, story.organisation).await;
    story.harness.run_for(4_200).await;
    let rental: Allocation = story.harness.load(&id.to_string()).await;
    assert_eq!(rental.status, AllocationStatus::Suspended);
    story.set(Some(100), "pm_card_visa").await;
    story.harness.run_for(60).await;
    let rental: Allocation = story.harness.load(&id.to_string()).await;
    assert_eq!((rental.status, story.taken()), (AllocationStatus::Active, 2));
    stories::release(&mut story.harness, id).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_kept_is_charged_until_it_is_removed(_: PgPoolOptions, db: Options) {
    let mut story = Story::begin(db).await;
    let method_id = PaymentMethodId::from_bits(7);
    let (at, organisation_id) = (story.harness.clock_now(), story.organisation);
    let details = MethodDetails {
        kind: "card".to_owned(),
        brand: "visa".to_owned(),
        last4: "4242".to_owned(),
        expires: None,
    };
    let provider_id = "pm_card_visa".to_owned();
    for command in [
        MethodCommand::Request { method_id, organisation_id, payment_method: None, at },
        MethodCommand::KnowCustomer { customer_id: "cus_1".to_owned(), at },
        MethodCommand::Save { method_id, provider_id, details, at },
    ] {
        story.tell::<PaymentMethods>(&organisation_id.to_string(), command).await;
    }
    story.set(Some(100), &method_id.to_string()).await;
    story.harness.run_for(60).await;
    assert_eq!((story.taken(), story.count("payment.method_named").await), (1, 1));
    let remove = MethodCommand::Remove { method_id, at };
    story.tell::<PaymentMethods>(&organisation_id.to_string(), remove).await;
    story.spend(9).await;
    story.harness.run_for(700).await;
    let found = story.state().await;
    assert_eq!((story.taken(), found.standing), (1, Standing::Suspended));
    assert_eq!(found.reason.as_deref(), Some("unknown_payment_method"));
}

#[sqlx::test(migrations = "../migrations")]
async fn whom_an_operator_has_shut_out_is_not_charged(_: PgPoolOptions, db: Options) {
    let mut story = Story::begin(db).await;
    let (now, organisation_id) = (story.harness.clock_now(), story.organisation);
    let found = OrganisationCommand::Found {
        organisation_id,
        name: "somebody".to_owned(),
        owner: UserId::from_bits(1),
        at: now,
    };
    let why = || "a stolen card".to_owned();
    let shut_out = OrganisationCommand::Suspend { reason: why(), at: now };
    for command in [found, shut_out] {
        story.tell::<Organisation>(&organisation_id.to_string(), command).await;
    }
    story.set(Some(100), "pm_card_visa").await;
    story.harness.run_for(60).await;
    assert_eq!((story.taken(), story.state().await.attempts), (0, 0));
    let resume = OrganisationCommand::Resume { reason: why(), at: now };
    story.tell::<Organisation>(&organisation_id.to_string(), resume).await;
    story.set(Some(90), "pm_card_visa").await;
    story.harness.run_for(60).await;
    assert_eq!(story.taken(), 1);
}

/// Twice the same, or by another worker after the first one died: as if nothing had been.
#[sqlx::test(migrations = "../migrations")]
async fn whatever_is_repeated_money_is_taken_once(_: PgPoolOptions, db: Options) {
    let mut story = Story::begin(db).await;
    for (target, mode, card) in [
        ("look_at_wallet", Mode::Twice, "pm_card_visa"),
        ("look_at_wallet", Mode::KillAfter, "pm_card_visa"),
        ("request_top_up", Mode::Twice, "pm_card_visa"),
        ("request_top_up", Mode::KillAfter, "pm_card_visa"),
        ("create_payment", Mode::Twice, "pm_card_visa"),
        ("create_payment", Mode::KillBetween, "pm_card_visa"),
        ("succeed_top_up", Mode::Twice, "pm_card_visa"),
        ("succeed_top_up", Mode::KillAfter, "pm_card_visa"),
        ("top_up_again", Mode::Twice, "pm_card_visa"),
        ("decline_top_up", Mode::Twice, DECLINED),
        ("decline_top_up", Mode::KillAfter, DECLINED),
    ] {
        story.organisation = story.harness.organisation();
        let before = story.taken();
        story.harness.faults.clear();
        story.harness.faults.arm(target, mode);
        story.set(Some(100), card).await;
        story.harness.run_for(700).await;
        let what = format!("{target} {mode:?}");
        assert!(story.harness.faults.hits(target) > 0, "{what}: the fault never hit");
        let (found, takes) = (story.state().await, usize::from(card != DECLINED));
        assert_eq!((found.attempts, story.taken() - before), (1, takes), "{what}");
        assert_eq!(found.in_flight, None, "{what}");
        let units = i64::try_from(takes).unwrap() * 10;
        assert_eq!(story.available().await, units, "{what}");
        assert_eq!(found.last.unwrap().declined.is_some(), card == DECLINED, "{what}");
    }
    assert_eq!(operator::waiting(story.harness.pool()).await.unwrap(), 0);
}
