//! Both books, and a provider that has exactly the lines it is given.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use cairn_commands::finance::{Break, BreakType, Period, ReconciliationReport, reconcile};
use cairn_commands::ports::{
    NewPayment, NewRefund, PaymentPort, PortError, ProviderBalance, ProviderDispute,
    ProviderOutcome, ProviderPayment, ProviderPayout, ProviderRefund, ProviderTransaction,
};
use cairn_commands::{CommandContext, Executor};
use cairn_core::{Currency, Decider, Money, OrganisationId, PaymentId, RefundId, Timestamp};
use cairn_event_log::EventLog;
use cairn_ledger::{ReserveRefund, TopUp, Wallet, WalletCommand, wallet_id};
use cairn_payments::{Payment, PaymentCommand, Refund, RefundCommand};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

pub const CENT: i64 = 10_000_000;
pub const UNIT: i64 = 100 * CENT;
pub const ORGANISATION: OrganisationId = OrganisationId::from_bits(1);
pub const HOUR: i64 = 3_600;
pub const DAY: i64 = 24 * HOUR;

/// A provider that has exactly these lines.
#[derive(Default)]
pub struct Provider {
    pub lines: Mutex<Vec<ProviderTransaction>>,
    /// Appears in the book when the balance is asked for the first time.
    pub arriving: Mutex<Option<ProviderTransaction>>,
    /// What it says of payouts beside its lines, and what they are made of.
    pub payouts: Mutex<BTreeMap<String, (ProviderPayout, Vec<ProviderTransaction>)>>,
    pub pending: BTreeSet<String>,
    /// Succeeded, and made by us under this id.
    pub finished: BTreeMap<String, RefundId>,
    pub unreachable: bool,
}

impl Provider {
    pub fn add(&self, line: ProviderTransaction) {
        self.lines.lock().unwrap().push(line);
    }

    pub fn change(&self, id: &str, change: impl FnOnce(&mut ProviderTransaction)) {
        let mut lines = self.lines.lock().unwrap();
        let line = lines.iter_mut().find(|line| line.id == id).unwrap();
        change(line);
        line.net_nanos = line.amount_nanos - line.fee_nanos;
    }

    pub fn remove(&self, id: &str) {
        self.lines.lock().unwrap().retain(|line| line.id != id);
    }
}

fn not_scripted() -> PortError {
    PortError::permanent("not_scripted", "this provider only has a book")
}

#[async_trait]
impl PaymentPort for Provider {
    async fn create_payment(&self, _: &NewPayment) -> Result<ProviderPayment, PortError> {
        Err(not_scripted())
    }
    async fn find_payment(
        &self,
        _: PaymentId,
        _: Timestamp,
    ) -> Result<Option<ProviderPayment>, PortError> {
        Err(not_scripted())
    }

    async fn payment(&self, _: &str) -> Result<ProviderPayment, PortError> {
        Err(not_scripted())
    }
    async fn client_secret(&self, _: &str) -> Result<String, PortError> {
        Err(not_scripted())
    }
    async fn create_refund(&self, _: &NewRefund) -> Result<ProviderRefund, PortError> {
        Err(not_scripted())
    }
    async fn find_refund(&self, _: &str, _: RefundId) -> Result<Option<ProviderRefund>, PortError> {
        Err(not_scripted())
    }

    async fn refund(&self, provider_id: &str) -> Result<ProviderRefund, PortError> {
        if self.unreachable {
            return Err(PortError::transient("timeout", "no answer"));
        }
        let refund_id = self.finished.get(provider_id).copied();
        let outcome = match refund_id {
            Some(_) => ProviderOutcome::Succeeded,
            None if self.pending.contains(provider_id) => ProviderOutcome::Pending,
            None => return Err(PortError::permanent("not_found", "no such refund")),
        };
        Ok(ProviderRefund {
            provider_id: provider_id.to_owned(),
            refund_id,
            outcome,
            amount: Money::new(0, Currency::USD),
        })
    }
    async fn dispute(&self, _: &str) -> Result<ProviderDispute, PortError> {
        Err(not_scripted())
    }
    async fn transactions(
        &self,
        from: Timestamp,
        after: Option<&str>,
        limit: u8,
    ) -> Result<Vec<ProviderTransaction>, PortError> {
        let mut lines = self.lines.lock().unwrap().clone();
        lines.retain(|line| line.created_at >= from);
        lines.sort_by_key(|line| (line.created_at, line.id.clone()));
        let place = after.and_then(|id| lines.iter().position(|line| line.id == id));
        let start = place.map_or(0, |place| place + 1);
        Ok(lines.into_iter().skip(start).take(limit.into()).collect())
    }
    async fn payout(&self, provider_id: &str) -> Result<ProviderPayout, PortError> {
        let payouts = self.payouts.lock().unwrap();
        let known = payouts.get(provider_id).map(|(payout, _)| payout.clone());
        known.ok_or_else(|| PortError::permanent("not_found", "no such payout"))
    }
    async fn payout_items(&self, provider_id: &str) -> Result<Vec<ProviderTransaction>, PortError> {
        let payouts = self.payouts.lock().unwrap();
        let known = payouts.get(provider_id).map(|(_, items)| items.clone());
        known.ok_or_else(|| PortError::permanent("not_found", "no such payout"))
    }
    async fn balances(&self) -> Result<Vec<ProviderBalance>, PortError> {
        if let Some(line) = self.arriving.lock().unwrap().take() {
            self.add(line);
        }
        let mut totals = BTreeMap::new();
        for line in self.lines.lock().unwrap().iter() {
            *totals.entry(line.currency.clone()).or_default() += line.net_nanos;
        }
        let balance = |(currency, total_nanos)| ProviderBalance { currency, total_nanos };
        Ok(totals.into_iter().map(balance).collect())
    }
}

/// Both books.
pub struct World {
    pub executor: Executor,
    pub pool: PgPool,
    pub provider: Provider,
    /// The database's now: postings get their time from it.
    pub now: Timestamp,
    commands: AtomicU32,
}

impl World {
    /// Everything runs with the rights that the application has.
    pub async fn new(owner: PgPool) -> Self {
        let acting = PgPoolOptions::new()
            .after_connect(|connection, _| Box::pin(cairn_event_log::as_app(connection)));
        let pool = acting.connect_with((*owner.connect_options()).clone()).await.unwrap();
        let now: time::OffsetDateTime =
            sqlx::query_scalar("SELECT now()").fetch_one(&pool).await.unwrap();
        Self {
            executor: Executor::new(EventLog::over(pool.clone())),
            pool,
            provider: Provider::default(),
            now: Timestamp::from_secs(now.unix_timestamp()),
            commands: AtomicU32::new(0),
        }
    }

    pub async fn execute<A: Decider>(&self, id: &str, command: A::Command)
    where
        A::Command: Clone,
    {
        let n = self.commands.fetch_add(1, Ordering::Relaxed);
        let context = CommandContext {
            command_id: format!("command-{n}"),
            body_hash: [0; 32],
            actor: "test".to_owned(),
            organisation_id: Some(ORGANISATION),
            correlation_id: "test".to_owned(),
            causation_id: None,
            traceparent: None,
            origin: None,
        };
        self.executor.execute::<A>(id, command, &context, serde_json::Value::Null).await.unwrap();
    }

    pub fn ago(&self, secs: i64) -> Timestamp {
        self.now.plus_secs(-secs)
    }

    pub fn line(&self, id: &str, source: &str, category: &str, amounts: (i64, i64)) -> Line {
        let (amount_nanos, fee_nanos) = amounts;
        Line(ProviderTransaction {
            id: id.to_owned(),
            source_id: Some(source.to_owned()),
            category: category.to_owned(),
            currency: "USD".to_owned(),
            amount_nanos,
            fee_nanos,
            net_nanos: amount_nanos - fee_nanos,
            created_at: self.ago(2 * HOUR),
            available_at: self.now,
        })
    }

    /// A charge in the provider's book: `txn_<n>` for `ch_<n>`.
    pub fn charge_line(&self, n: u32, amount: i64, fee: i64) -> Line {
        self.line(&format!("txn_{n}"), &format!("ch_{n}"), "charge", (amount, fee))
    }

    pub fn refund_line(&self, n: u32, amount: i64) -> Line {
        self.line(&format!("txn_r{n}"), &format!("re_{n}"), "refund", (-amount, 0))
    }

    pub fn failure_line(&self, n: u32, amount: i64) -> Line {
        self.line(&format!("txn_f{n}"), &format!("re_{n}"), "refund_failure", (amount, 0))
    }

    pub fn provide(&self, line: Line) {
        self.provider.add(line.0);
    }

    /// The same charge in our books.
    pub async fn book_charge(&self, n: u32, amount_nanos: i64, at: Timestamp) {
        let top_up = WalletCommand::TopUp(TopUp {
            organisation_id: ORGANISATION,
            currency: Currency::USD,
            payment_id: PaymentId::from_bits(n.into()),
            amount_nanos,
            charge_id: format!("ch_{n}"),
            at,
        });
        self.execute::<Wallet>(&wallet_id(ORGANISATION, Currency::USD), top_up).await;
    }

    pub async fn book_fee(&self, n: u32, amount_nanos: i64, fee_nanos: i64) {
        let id = format!("pay_{n}");
        let at = self.ago(2 * HOUR);
        let request = PaymentCommand::Request {
            payment_id: PaymentId::from_bits(n.into()),
            organisation_id: ORGANISATION,
            currency: Currency::USD,
            amount_nanos,
            payment_method: None,
            at,
        };
        let (provider_id, charge_id) = (format!("pi_{n}"), format!("ch_{n}"));
        let succeed = PaymentCommand::Succeed { provider_id, charge_id, amount_nanos, at };
        let balance_transaction_id = format!("txn_{n}");
        let fee = PaymentCommand::RecordFee { balance_transaction_id, fee_nanos, at };
        for command in [request, succeed, fee] {
            self.execute::<Payment>(&id, command).await;
        }
    }

    /// What the provider's line is for in our books, as their `n`th payment.
    pub async fn settle(&self, line: &ProviderTransaction, n: u32) {
        let (payment_id, amount_nanos) = (PaymentId::from_bits(n.into()), line.amount_nanos);
        let (charge_id, at) = (line.source_id.clone().unwrap(), line.created_at);
        let (organisation_id, currency) = (ORGANISATION, line.currency.parse().unwrap());
        let top_up = TopUp {
            organisation_id,
            currency,
            payment_id,
            amount_nanos,
            charge_id: charge_id.clone(),
            at,
        };
        let wallet = wallet_id(ORGANISATION, currency);
        self.execute::<Wallet>(&wallet, WalletCommand::TopUp(top_up)).await;
        let payment_method = None;
        let request = PaymentCommand::Request {
            payment_id,
            organisation_id,
            currency,
            amount_nanos,
            payment_method,
            at,
        };
        let provider_id = format!("pi_{n}");
        let succeed = PaymentCommand::Succeed { provider_id, charge_id, amount_nanos, at };
        let (balance_transaction_id, fee_nanos) = (line.id.clone(), line.fee_nanos);
        let fee = PaymentCommand::RecordFee { balance_transaction_id, fee_nanos, at };
        for command in [request, succeed, fee] {
            self.execute::<Payment>(&format!("pay_{n}"), command).await;
        }
    }

    /// A charge that both books have, fee and all.
    pub async fn charge(&self, n: u32) {
        let at = self.ago(2 * HOUR);
        self.provide(self.charge_line(n, 10 * UNIT, 59 * CENT));
        self.book_charge(n, 10 * UNIT, at).await;
        self.book_fee(n, 10 * UNIT, 59 * CENT).await;
    }

    /// A refund of charge `n` in our books, up to and including its success at the provider.
    pub async fn book_refund(&self, n: u32, amount_nanos: i64) {
        let at = self.ago(2 * HOUR);
        let (refund_id, payment_id) =
            (RefundId::from_bits(n.into()), PaymentId::from_bits(n.into()));
        let reason = "asked".to_owned();
        let reserve = ReserveRefund { refund_id, payment_id, amount_nanos, reason, at };
        let reserve = WalletCommand::ReserveRefund(reserve);
        self.execute::<Wallet>(&wallet_id(ORGANISATION, Currency::USD), reserve).await;
        let request = RefundCommand::Request {
            refund_id,
            payment_id,
            organisation_id: ORGANISATION,
            currency: Currency::USD,
            amount_nanos,
            charge_id: format!("ch_{n}"),
            at,
        };
        let succeed = RefundCommand::Succeed { provider_id: format!("re_{n}"), amount_nanos, at };
        for command in [request, succeed] {
            self.execute::<Refund>(&format!("refund_{n}"), command).await;
        }
    }

    pub async fn refund(&self, n: u32) {
        self.provide(self.refund_line(n, UNIT));
        self.book_refund(n, UNIT).await;
    }

    pub fn last_days(&self, days: i64) -> Period {
        Period::range(self.ago(days * DAY), self.now.plus_secs(1), self.now).unwrap()
    }

    /// The last day, each time a second later.
    pub async fn report(&self) -> ReconciliationReport {
        let run = self.commands.fetch_add(1, Ordering::Relaxed);
        let period = Period { now: self.now.plus_secs(run.into()), ..self.last_days(1) };
        reconcile(&self.provider, &self.executor, period).await.unwrap()
    }

    /// The breaks, each as its type and the line or reference that it is about.
    pub async fn breaks(&self) -> Vec<(BreakType, String)> {
        let report = self.report().await;
        let unexplained: Vec<_> =
            report.proofs.iter().filter(|proof| proof.unexplained_nanos != 0).collect();
        assert!(unexplained.is_empty(), "{unexplained:?}");
        assert!(!report.clean || report.breaks.is_empty());
        breaks(&report)
    }
}

/// A line that is not in the provider's book yet.
pub struct Line(pub ProviderTransaction);

/// The breaks, each as its type and the line or reference that it is about.
pub fn breaks(report: &ReconciliationReport) -> Vec<(BreakType, String)> {
    let name = |found: &Break| {
        let item = &found.item;
        let which = item.transaction_id.clone().or_else(|| item.reference.clone());
        (found.break_type, which.unwrap())
    };
    let mut named: Vec<_> = report.breaks.iter().map(name).collect();
    named.sort();
    named
}
