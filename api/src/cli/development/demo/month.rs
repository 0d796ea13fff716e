//! A month of money in a log of its own, with the instants of last month: customers pay in, rent, are charged and get money back, the
//! provider pays out, and errors are planted between its book, the bank's statement and ours. Then finance does what it does at the end
//! of a month, with the code of its commands: reconciles, settles, closes, issues invoices, and proves a charge without the books.
mod book;
mod deeds;

use cairn_commands::finance::breaks::{self, Resolve};
use cairn_commands::finance::{self, BreakType, Period, Run, bank, close, entity, invoices};
use cairn_core::{Currency, Decider as _, Month, Nanos, OrganisationId, Timestamp};
use cairn_finance::{Issuer, Means, Statement, StatementLine};
use cairn_ledger::{Wallet, wallet_id};
use cairn_projections::ledger::statement;
use cairn_sealer::{Sealer, SealerConfig};
use tokio_util::sync::CancellationToken;

use self::book::{DESCRIPTOR, UNDER_WAY_SECS};
use self::deeds::{DAY, Deeds, UNIT, fee_of, swiss};
use super::checks;
use super::report::MonthPart;
use super::stage::Stage;
use crate::charges::gather;
use crate::cli::exit::CliError;
use crate::cli::session::SessionParts;
use crate::config::Config;
use crate::wiring::Platform;

/// Who pays in, rents and is invoiced.
const CUSTOMERS: [u128; 3] = [1, 2, 3];
/// What may be on its way at the month's end.
const CLEARING_DAYS: u16 = 14;
/// What is planted, and how often. What the provider does not have is a payment and its fee. The six lines that both books have alike are
/// late: our side of them is written today.
const PLANTED: [(BreakType, usize); 9] = [
    (BreakType::MissingInternal, 1),
    (BreakType::MissingExternal, 2),
    (BreakType::Amount, 1),
    (BreakType::Currency, 1),
    (BreakType::Duplicate, 1),
    (BreakType::Fee, 1),
    (BreakType::Late, 6),
    (BreakType::BankMissing, 1),
    (BreakType::BankUnexpected, 1),
];

/// Tells it.
pub(super) async fn tell(stage: &Stage, config: &Config) -> Result<MonthPart, CliError> {
    let database = stage.database().another("month").await?;
    let config = config.within(&stage.data().join("month"));
    std::fs::create_dir_all(&config.data)?;
    let platform = Platform::over(database, &config, true).await?;
    let stop = CancellationToken::new();
    let following = platform.follow(stop.clone());
    let told = tell_over(stage, &platform, &config).await;
    stop.cancel();
    let _ = following.await;
    platform.close().await;
    told
}

async fn tell_over(
    stage: &Stage,
    platform: &Platform,
    config: &Config,
) -> Result<MonthPart, CliError> {
    let parts = SessionParts::new(platform, config);
    let deeds = Deeds::of(&parts.commands, last_month(parts.commands.clock.now())?);
    live(&deeds).await?;
    plant(&deeds).await?;
    let found = settle(&deeds).await?;
    let month = deeds.month;
    let closing = close::Close { month, limit_nanos: 0, clearing_days: CLEARING_DAYS };
    let actor = deeds.context("finance");
    close::close(&deeds.commands, &actor, &deeds.book, closing).await?;
    let closed = close::is_intact(&deeds.commands, month).await? == Some(true);
    let issued = invoice(&deeds).await?;
    let proof_ok = prove(&deeds, &parts, &config.seal).await?;
    let books = checks::ledger_of(parts.pool(), stage.directory()).await?;
    let planted = PLANTED.iter().map(|(_, times)| times).sum();
    let of = |kind: BreakType| found.iter().filter(|found| **found == kind).count();
    let breaks_found = PLANTED.iter().map(|(kind, times)| of(*kind).min(*times)).sum();
    let false_alarms = found.len() - breaks_found;
    stage.say(&format!(
        "a simulated month, {month}: {breaks_found} of {planted} planted breaks found, {false_alarms} false alarms, closed: {closed}, \
         {issued} invoices, a charge proven offline: {proof_ok}"
    ));
    Ok(MonthPart {
        month: month.to_string(),
        planted,
        breaks_found,
        false_alarms,
        closed,
        customers: CUSTOMERS.len(),
        invoices: issued,
        proof_ok,
        books,
    })
}

fn last_month(now: Timestamp) -> Result<Month, CliError> {
    let wrong = |error: cairn_core::MonthError| CliError::failure(error.to_string());
    let this = Month::of(now).map_err(wrong)?;
    Month::of(this.starts_at().plus_secs(-1)).map_err(wrong)
}

/// What goes as it should.
async fn live(deeds: &Deeds) -> Result<(), CliError> {
    for customer in CUSTOMERS {
        let paid = (50 * UNIT, fee_of(50 * UNIT));
        deeds.top_up((customer, customer), paid, Some(paid)).await?;
    }
    deeds.grant(2, 5 * UNIT).await?;
    deeds.on(1);
    for (customer, tax) in CUSTOMERS.into_iter().zip([None, None, Some(swiss())]) {
        deeds.rent(customer, tax).await?;
    }
    deeds.on(10);
    deeds.refund((1, 1), 4 * UNIT).await?;
    deeds.pay_out("po_1", 60 * UNIT);
    for day in [12, 20] {
        let at = deeds.on(day);
        for customer in CUSTOMERS {
            deeds.charge(customer, at).await?;
        }
    }
    Ok(())
}

/// What does not; then the month ends, and the bank's statement of it comes.
async fn plant(deeds: &Deeds) -> Result<(), CliError> {
    let paid = (20 * UNIT, fee_of(20 * UNIT));
    // Not in the provider's book; with another amount there; with another fee.
    deeds.top_up((1, 11), paid, None).await?;
    deeds.top_up((2, 12), paid, Some((paid.0 - UNIT, paid.1))).await?;
    deeds.top_up((3, 13), paid, Some((paid.0, paid.1 + UNIT))).await?;
    // Only there; there twice; in a currency without books.
    let book = &deeds.book;
    book.write("14", ("ch_14", "charge"), ("USD", 7 * UNIT, 0), deeds.moment());
    let twice = ("USD", 50 * UNIT, fee_of(50 * UNIT));
    book.write("1_again", ("ch_1", "charge"), twice, deeds.moment());
    book.write("15", ("ch_15", "charge"), ("JPY", 900 * UNIT, 0), deeds.moment());
    // Never at the bank.
    deeds.pay_out("po_2", 30 * UNIT);
    let ends_at = deeds.month.ends_at();
    for customer in CUSTOMERS {
        deeds.charge(customer, ends_at).await?;
    }
    let credit = |day: i64, name: &str, amount_nanos: Nanos| StatementLine {
        reference: Some(name.to_owned()),
        booked_on: deeds.month.starts_at().plus_secs(day * DAY),
        valued_on: deeds.month.starts_at().plus_secs(day * DAY),
        amount_nanos,
        end_to_end: None,
        text: DESCRIPTOR.to_owned(),
    };
    let arrived = 10 + UNDER_WAY_SECS / DAY;
    let lines = vec![credit(arrived, "B-1", 60 * UNIT), credit(arrived + 3, "B-2", 3 * UNIT)];
    let statement = Statement {
        statement_id: None,
        bank_account: None,
        currency: Currency::USD.to_string(),
        balances: None,
        days: (deeds.month.starts_at(), ends_at.plus_secs(-DAY)),
        lines,
    };
    let now = deeds.on(40);
    bank::import(deeds.commands.executor.log().pool(), &[statement], Some("main"), now).await?;
    Ok(())
}

/// Reconciles the month, and settles every break as finance would. Answers what was found.
async fn settle(deeds: &Deeds) -> Result<Vec<BreakType>, CliError> {
    let now = deeds.on(40);
    let period = Period::range(deeds.month.starts_at(), deeds.month.ends_at(), now)?;
    let context = deeds.context("finance");
    let run = finance::run(&deeds.book, &deeds.commands.executor, &context, period).await?;
    let Run { report, .. } = run;
    let mut found = vec![];
    for wrong in report.open() {
        deeds.moment();
        found.push(wrong.break_type);
        let is_money = wrong.difference_nanos != 0
            && !wrong.break_type.is_of_the_bank()
            && wrong.break_type != BreakType::Currency;
        let by = if is_money { Means::WriteOff } else { Means::Explain };
        let cause = "planted".to_owned();
        let limit_nanos = Nanos::MAX;
        let resolve = Resolve { break_id: wrong.break_id, by, cause, limit_nanos };
        breaks::resolve(&deeds.commands, &deeds.context("finance"), resolve).await?;
    }
    Ok(found)
}

async fn invoice(deeds: &Deeds) -> Result<usize, CliError> {
    deeds.moment();
    let issuer = Issuer {
        code: "main".to_owned(),
        name: "Cairn Demo".to_owned(),
        address: "Main Street 1".to_owned(),
        tax_id: String::new(),
    };
    let context = deeds.context("finance");
    entity::set(&deeds.commands, &context, (issuer, "CN".to_owned())).await?;
    let context = deeds.context("finance");
    let issued = invoices::issue(&deeds.commands, &context, deeds.month).await?;
    Ok(issued.numbers.len())
}

/// Seals the log and proves the last charge of the last customer by what is sealed alone.
async fn prove(deeds: &Deeds, parts: &SessionParts, seal: &SealerConfig) -> Result<bool, CliError> {
    let log = deeds.commands.executor.log();
    let sealer = Sealer::new(log.clone(), seal.clone());
    while sealer.turn(true).await? > 0 {}
    parts.catch_up(&[statement::NAME]).await?;
    let owner = OrganisationId::from_bits(CUSTOMERS[CUSTOMERS.len() - 1]);
    let events = log.load(Wallet::TYPE, &wallet_id(owner, Currency::USD), 0).await?;
    let charge = events.iter().rfind(|event| event.event_type == "wallet.usage_captured");
    let charge = charge.ok_or_else(|| CliError::failure("nothing was charged"))?;
    let proof = gather(log, charge.position).await?;
    let evidence = sealer.evidence().await?;
    Ok(proof.check(&evidence.keys).is_ok())
}
