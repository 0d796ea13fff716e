//! What happened in the month: the commands that the API and the processes would have sent, at the instants of last month.
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use cairn_commands::ports::Clock;
use cairn_commands::{CommandContext, Commands};
use cairn_compute::{Allocation, AllocationCommand, PinnedPrice, Placement, Step};
use cairn_core::{
    AllocationId, CreditId, Currency, Decider, HoldId, Month, Nanos, NodeId, OrganisationId,
    PaymentId, RefundId, Resources, Tax, TaxRate, TaxTreatment, Timestamp,
};
use cairn_ledger::{
    CaptureHold, GrantCredit, PlaceHold, ReserveRefund, TopUp, Wallet, WalletCommand, wallet_id,
};
use cairn_payments::{Payment, PaymentCommand, Refund, RefundCommand};
use serde_json::json;

use super::book::Book;
use crate::cli::exit::CliError;

pub(super) const UNIT: Nanos = 1_000_000_000;
const CENT: Nanos = UNIT / 100;
pub(super) const DAY: i64 = 86_400;
/// 0.036 an hour, a tenth of what the first story asks.
const NANOS_PER_HOUR: Nanos = 36_000_000;

/// A clock that is told the time.
#[derive(Debug)]
struct Told(AtomicI64);

impl Clock for Told {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// A log to which a month happens, and the provider's book of it.
pub(super) struct Deeds {
    pub month: Month,
    pub commands: Commands,
    pub book: Book,
    clock: Arc<Told>,
    wishes: AtomicU64,
}

impl Deeds {
    /// Over an empty log, on the first day of a month.
    pub(super) fn of(commands: &Commands, month: Month) -> Self {
        let clock = Arc::new(Told(AtomicI64::new(month.starts_at().as_micros())));
        let told = Arc::<Told>::clone(&clock);
        let commands = Commands { clock: told, ..commands.clone() };
        Self { month, commands, book: Book::default(), clock, wishes: AtomicU64::new(0) }
    }

    /// An instant of the month: so many days after it began. It is now then.
    pub(super) fn on(&self, day: i64) -> Timestamp {
        let at = self.month.starts_at().plus_secs(day * DAY);
        self.clock.0.fetch_max(at.as_micros(), Ordering::SeqCst);
        at
    }

    /// A moment later, so that each thing has an instant of its own.
    pub(super) fn moment(&self) -> Timestamp {
        self.clock.0.fetch_add(1_000_000, Ordering::SeqCst);
        self.clock.now()
    }

    /// The identity of a wish.
    pub(super) fn context(&self, actor: &str) -> CommandContext {
        let id = format!("month:{}", self.wishes.fetch_add(1, Ordering::Relaxed));
        CommandContext::by_itself(actor, id)
    }

    async fn act<A>(&self, stream: &str, command: A::Command) -> Result<(), CliError>
    where
        A: Decider,
        A::Command: Clone + Send + Sync,
    {
        let context = self.context("month");
        self.commands.executor.execute::<A>(stream, command, &context, json!({})).await?;
        Ok(())
    }

    /// Money comes in, in both books. `ours` and `theirs`: gross and what the provider kept.
    pub(super) async fn top_up(
        &self,
        (customer, n): (u128, u128),
        ours: (Nanos, Nanos),
        theirs: Option<(Nanos, Nanos)>,
    ) -> Result<(), CliError> {
        let (at, organisation_id) = (self.moment(), OrganisationId::from_bits(customer));
        let (currency, payment_id) = (Currency::USD, PaymentId::from_bits(n));
        let (provider_id, charge_id) = (format!("pi_{n}"), format!("ch_{n}"));
        if let Some((amount, fee)) = theirs {
            self.book.write(&n.to_string(), (&charge_id, "charge"), ("USD", amount, fee), at);
        }
        let (amount_nanos, fee_nanos) = ours;
        let request = PaymentCommand::Request {
            payment_id,
            organisation_id,
            currency,
            amount_nanos,
            payment_method: None,
            at,
        };
        let succeed =
            PaymentCommand::Succeed { provider_id, charge_id: charge_id.clone(), amount_nanos, at };
        let balance_transaction_id = format!("txn_{n}");
        let fee = PaymentCommand::RecordFee { balance_transaction_id, fee_nanos, at };
        for command in [request, succeed, fee] {
            self.act::<Payment>(&payment_id.to_string(), command).await?;
        }
        let paid = TopUp { organisation_id, currency, payment_id, amount_nanos, charge_id, at };
        self.of_wallet(customer, WalletCommand::TopUp(paid)).await
    }

    pub(super) async fn of_wallet(
        &self,
        customer: u128,
        command: WalletCommand,
    ) -> Result<(), CliError> {
        let wallet = wallet_id(OrganisationId::from_bits(customer), Currency::USD);
        self.act::<Wallet>(&wallet, command).await
    }

    /// Credit that nobody paid for.
    pub(super) async fn grant(&self, customer: u128, amount_nanos: Nanos) -> Result<(), CliError> {
        let at = self.moment();
        let grant = GrantCredit {
            organisation_id: OrganisationId::from_bits(customer),
            currency: Currency::USD,
            credit_id: CreditId::from_bits(customer),
            amount_nanos,
            expires_at: at.plus_secs(365 * DAY),
            reason: "welcome".to_owned(),
            at,
        };
        self.of_wallet(customer, WalletCommand::GrantCredit(grant)).await
    }

    /// Part of a payment goes back to its card.
    pub(super) async fn refund(
        &self,
        (customer, n): (u128, u128),
        amount_nanos: Nanos,
    ) -> Result<(), CliError> {
        let (at, provider_id) = (self.moment(), format!("re_{n}"));
        let (refund_id, payment_id) = (RefundId::from_bits(n), PaymentId::from_bits(n));
        let reason = "asked for".to_owned();
        let reserve = ReserveRefund { refund_id, payment_id, amount_nanos, reason, at };
        self.of_wallet(customer, WalletCommand::ReserveRefund(reserve)).await?;
        let request = RefundCommand::Request {
            refund_id,
            payment_id,
            organisation_id: OrganisationId::from_bits(customer),
            currency: Currency::USD,
            amount_nanos,
            charge_id: format!("ch_{n}"),
            at,
        };
        let line = ("USD", -amount_nanos, 0);
        self.book.write(&format!("re_{n}"), (&provider_id, "refund"), line, at);
        let succeed = RefundCommand::Succeed { provider_id, amount_nanos, at };
        for command in [request, succeed] {
            self.act::<Refund>(&refund_id.to_string(), command).await?;
        }
        Ok(())
    }

    /// A rental, with so much set aside for it. It has the number of its customer.
    pub(super) async fn rent(&self, customer: u128, tax: Option<Tax>) -> Result<(), CliError> {
        let (at, allocation_id) = (self.moment(), AllocationId::from_bits(customer));
        let hold_id = HoldId::from_bits(customer);
        let place = PlaceHold {
            hold_id,
            purpose: allocation_id.to_string(),
            project_id: None,
            amount_nanos: 45 * UNIT,
            expires_at: at.plus_secs(60 * DAY),
            at,
        };
        self.of_wallet(customer, WalletCommand::PlaceHold(place)).await?;
        let (currency, nanos_per_hour) = (Currency::USD, NANOS_PER_HOUR);
        let request = AllocationCommand::Request {
            allocation_id,
            organisation_id: OrganisationId::from_bits(customer),
            sku_id: "small".to_owned(),
            resources: Resources { cpu_millis: 1, memory_bytes: 1, disk_bytes: 1, pids_max: 1 },
            price: PinnedPrice::flat(1, currency, nanos_per_hour),
            tax,
            project_id: None,
            ssh_public_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==".to_owned(),
            node_id: None,
            at,
        };
        let placement = Placement { node_id: NodeId::from_bits(1), uid: 20_000, hold_id };
        let mut commands = vec![
            request,
            AllocationCommand::ConfirmReserved { placement, at },
            AllocationCommand::StartProvisioning { login: "t20000".to_owned(), at },
        ];
        let observed = || "as wanted".to_owned();
        let steps = Step::ALL.into_iter();
        commands.extend(steps.map(|step| AllocationCommand::CompleteStep {
            step,
            observed: observed(),
            at,
        }));
        commands.push(AllocationCommand::Activate { proof: "uid=20000".to_owned(), at });
        for command in commands {
            self.act::<Allocation>(&allocation_id.to_string(), command).await?;
        }
        Ok(())
    }

    /// The meter of a rental moves on to an instant, and what it says is charged.
    pub(super) async fn charge(&self, customer: u128, at: Timestamp) -> Result<(), CliError> {
        let stream = AllocationId::from_bits(customer).to_string();
        let meter =
            AllocationCommand::Meter { through: at, unproven_seconds: 0, late_seconds: 0, at };
        self.act::<Allocation>(&stream, meter).await?;
        let (rental, _) = self.commands.executor.load::<Allocation>(&stream).await?;
        let wrong = |error: cairn_core::MoneyError| CliError::failure(error.to_string());
        let due = rental.dues().map_err(wrong)?.pop();
        let due = due.ok_or_else(|| CliError::failure("a rental without a price"))?;
        let capture = CaptureHold {
            hold_id: HoldId::from_bits(customer),
            total_nanos: due.total_nanos,
            seconds: due.seconds,
            product: "compute".to_owned(),
            tax: due.tax,
            keep_nanos: 0,
            expires_at: at.plus_secs(60 * DAY),
            at,
        };
        self.of_wallet(customer, WalletCommand::CaptureHold(capture)).await
    }

    /// Money on its way to the bank, in the provider's book: ours learns of it there.
    pub(super) fn pay_out(&self, name: &str, amount_nanos: Nanos) {
        let (at, line) = (self.moment(), ("USD", -amount_nanos, 0));
        self.book.write(name, (name, "payout"), line, at);
    }
}

/// A tax that is in the price.
pub(super) fn swiss() -> Tax {
    Tax {
        rate: TaxRate { jurisdiction: "CH".to_owned(), ppm: 81_000 },
        name: "MWST".to_owned(),
        treatment: TaxTreatment::Inclusive,
        version: 1,
    }
}

/// What the provider keeps of a payment.
pub(super) const fn fee_of(amount_nanos: Nanos) -> Nanos {
    amount_nanos / 1_000 * 29 + 30 * CENT
}
