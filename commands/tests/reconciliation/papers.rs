//! Invoices of a closed month: what the books say, once, under numbers without a gap.
use std::collections::BTreeSet;
use std::sync::Arc;

use cairn_commands::finance::invoices::{self, Issued};
use cairn_commands::finance::{FinanceError, entity};
use cairn_commands::{Commands, ExecuteError, Executor, replay};
use cairn_compute::{Allocation, AllocationCommand, PinnedPrice, Placement, Step};
use cairn_core::{
    AllocationId, CreditId, Currency, HoldId, Month, NodeId, OrganisationId, PaymentId, Resources,
    TaxRate, Timestamp,
};
use cairn_event_log::EventLog;
use cairn_finance::period::{Books, Check, Item};
use cairn_finance::rounding::cents;
use cairn_finance::{Customer, Invoice, InvoiceSeries, Issuer, Period, PeriodCommand};
use cairn_ledger::{CaptureHold, GrantCredit, PlaceHold, TopUp, Wallet, WalletCommand, wallet_id};
use sqlx::{Executor as _, PgPool};

use crate::desk::Desk;
use crate::world::{CENT, DAY, HOUR, UNIT, World};

pub const PRICE: i64 = 36 * CENT;

fn organisation(n: u128) -> OrganisationId {
    OrganisationId::from_bits(n)
}

pub fn wallet(n: u128) -> String {
    wallet_id(organisation(n), Currency::USD)
}

pub fn last_month(desk: &Desk) -> Month {
    let first = Month::of(desk.world.now).unwrap().starts_at();
    Month::of(first.plus_secs(-1)).unwrap()
}

pub async fn top_up(world: &World, n: u128, amount_nanos: i64, at: Timestamp) {
    let top_up = TopUp {
        organisation_id: organisation(n),
        currency: Currency::USD,
        payment_id: PaymentId::from_bits(n),
        amount_nanos,
        charge_id: format!("ch_{n}"),
        at,
    };
    world.execute::<Wallet>(&wallet(n), WalletCommand::TopUp(top_up)).await;
}

async fn grant(world: &World, n: u128, amount_nanos: i64, at: Timestamp) {
    let grant = GrantCredit {
        organisation_id: organisation(n),
        currency: Currency::USD,
        credit_id: CreditId::from_bits(n),
        amount_nanos,
        expires_at: at.plus_secs(365 * DAY),
        reason: "welcome".to_owned(),
        at,
    };
    world.execute::<Wallet>(&wallet(n), WalletCommand::GrantCredit(grant)).await;
}

/// A rental of an organisation, which has the same number, with all that is in its wallet set aside for it.
pub async fn rent(world: &World, n: u128, (amount_nanos, at): (i64, Timestamp)) {
    let hold_id = HoldId::from_bits(n);
    let rental = AllocationId::from_bits(n).to_string();
    let place = PlaceHold {
        hold_id,
        purpose: rental.clone(),
        project_id: None,
        amount_nanos,
        expires_at: at.plus_secs(365 * DAY),
        at,
    };
    world.execute::<Wallet>(&wallet(n), WalletCommand::PlaceHold(place)).await;
    let request = AllocationCommand::Request {
        allocation_id: AllocationId::from_bits(n),
        organisation_id: organisation(n),
        sku_id: "small".to_owned(),
        resources: Resources { cpu_millis: 1, memory_bytes: 1, disk_bytes: 1, pids_max: 1 },
        price: PinnedPrice::flat(1, Currency::USD, PRICE),
        project_id: None,
        ssh_public_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==".to_owned(),
        node_id: None,
        tax: None,
        at,
    };
    let placement = Placement { node_id: NodeId::from_bits(1), uid: 20_000, hold_id };
    let mut commands = vec![
        request,
        AllocationCommand::ConfirmReserved { placement, at },
        AllocationCommand::StartProvisioning { login: "t20000".to_owned(), at },
    ];
    commands.extend(Step::ALL.map(|step| {
        let observed = "as wanted".to_owned();
        AllocationCommand::CompleteStep { step, observed, at }
    }));
    commands.push(AllocationCommand::Activate { proof: "uid=20000".to_owned(), at });
    for command in commands {
        world.execute::<Allocation>(&rental, command).await;
    }
}

pub async fn charge(world: &World, n: u128, (total_nanos, seconds): (i64, i64), at: Timestamp) {
    let capture = CaptureHold {
        hold_id: HoldId::from_bits(n),
        total_nanos,
        seconds,
        product: "compute".to_owned(),
        tax: None,
        keep_nanos: 0,
        expires_at: at.plus_secs(365 * DAY),
        at,
    };
    world.execute::<Wallet>(&wallet(n), WalletCommand::CaptureHold(capture)).await;
}

/// Closes a month whatever stands against it: that is not what is looked at here.
pub async fn close(world: &World, month: Month) {
    let checks = Item::ALL.map(|item| Check { item, says: "fine".to_owned(), against: vec![] });
    let position = world.executor.log().head().await.unwrap();
    let balances_sha256 = "ab".repeat(32);
    let close = PeriodCommand::Close {
        month,
        checks: checks.to_vec(),
        books: Books { position, block: None, accounts: 1, balances_sha256 },
        actor: "ada".to_owned(),
        at: world.now,
    };
    world.execute::<Period>(&month.to_string(), close).await;
}

pub async fn reopen(world: &World, month: Month) {
    let (reason, actor) = ("forgotten".to_owned(), "grace".to_owned());
    let reopen = PeriodCommand::Reopen { month, later: vec![], reason, actor, at: world.now };
    world.execute::<Period>(&month.to_string(), reopen).await;
}

pub async fn set_entity(desk: &Desk) {
    let issuer = Issuer {
        code: "main".to_owned(),
        name: "Cairn Compute".to_owned(),
        address: "Main Street 1".to_owned(),
        tax_id: String::new(),
    };
    let input = (issuer, "CN".to_owned());
    entity::set(&desk.commands, &desk.context("operator:ada"), input).await.unwrap();
}

pub async fn issue(desk: &Desk, month: Month) -> Result<Issued, FinanceError> {
    invoices::issue(&desk.commands, &desk.context("operator:ada"), month).await
}

fn code(answer: Result<Issued, FinanceError>) -> String {
    match answer {
        Err(FinanceError::Case(ExecuteError::Refused { code, .. })) => code,
        other => panic!("{other:?}"),
    }
}

/// Every invoice there is, in the order in which they were issued.
pub async fn all(desk: &Desk) -> Vec<Invoice> {
    let events = desk.world.executor.log().load("invoice_series", "CN", 0).await.unwrap();
    let invoice = |event: cairn_event_log::Recorded| {
        let cairn_finance::InvoiceEvent::Issued { invoice } = event.decode().unwrap();
        *invoice
    };
    events.into_iter().map(invoice).collect()
}

/// Income and taxes of a month, as the journal has them.
pub async fn income(desk: &Desk, month: Month) -> i64 {
    let sum = "SELECT coalesce(-sum(p.amount_nanos), 0)::bigint
               FROM ledger_postings p JOIN ledger_journal_transactions t USING (position)
               WHERE (p.account LIKE 'usage:%' OR p.account LIKE 'tax:%')
                 AND t.effective_on >= $1::date AND t.effective_on < $2::date";
    let sum = sqlx::query_scalar(sum).bind(month.first_day()).bind(month.next().first_day());
    sum.fetch_one(&desk.world.pool).await.unwrap()
}

/// A charge of 1.081 with a Swiss tax of 8.1 % in it.
async fn charge_with_tax(world: &World, n: u128, at: Timestamp) {
    let state: Wallet = world.executor.load(&wallet(n)).await.unwrap().0;
    let hold = &state.holds[&HoldId::from_bits(n).to_string()];
    let capture = CaptureHold {
        hold_id: HoldId::from_bits(n),
        total_nanos: hold.captured_nanos + hold.overrun_nanos + 1_081_000_000,
        seconds: 20_000,
        product: "compute".to_owned(),
        tax: Some(TaxRate { jurisdiction: "CH".to_owned(), ppm: 81_000 }),
        keep_nanos: 0,
        expires_at: at.plus_secs(365 * DAY),
        at,
    };
    world.execute::<Wallet>(&wallet(n), WalletCommand::CaptureHold(capture)).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_was_charged_in_a_month_is_invoiced_and_adds_up_to_the_books(owner: PgPool) {
    let desk = Desk::of(World::new(owner.clone()).await);
    let month = last_month(&desk);
    let (since, begins) = (month.starts_at().plus_secs(-2 * HOUR), month.starts_at());
    let world = &desk.world;
    // One pays with money, one with credit and then money, and one has less than it uses.
    top_up(world, 1, 20 * UNIT, since).await;
    grant(world, 2, UNIT, since).await;
    top_up(world, 2, 5 * UNIT, since).await;
    top_up(world, 3, UNIT, since).await;
    for (n, amount) in [(1, 10 * UNIT), (2, 3 * UNIT), (3, UNIT)] {
        rent(world, n, (amount, since)).await;
    }
    charge(world, 1, (66_666_666, 666), begins.plus_secs(-1)).await;
    charge(world, 1, (3 * UNIT + 1, 3_666), begins.plus_secs(10 * HOUR)).await;
    charge(world, 1, (4 * UNIT + 3, 7_666), month.ends_at().plus_secs(-1)).await;
    charge(world, 2, (UNIT + 5, 1_000), begins).await;
    charge(world, 3, (3 * UNIT, 30_000), begins.plus_secs(DAY)).await;
    // What takes effect after it belongs to the next.
    charge(world, 1, (5 * UNIT, 9_666), month.ends_at()).await;
    assert_eq!(code(issue(&desk, month).await), "period_not_closed");
    close(world, month).await;
    assert_eq!(code(issue(&desk, month).await), "legal_entity_missing");
    set_entity(&desk).await;
    let customer = Customer {
        name: "Example".to_owned(),
        address: "Side Street 2".to_owned(),
        country: "CH".to_owned(),
        tax_id: String::new(),
        email: String::new(),
    };
    let billing = (organisation(2), customer.clone());
    entity::set_billing(&desk.commands, &desk.context("owner"), billing).await.unwrap();

    let issued = issue(&desk, month).await.unwrap();
    let year = &desk.now().to_string()[..4];
    let numbers: Vec<_> = (1..=3).map(|n| format!("CN-{year}-{n:06}")).collect();
    assert_eq!((&issued.numbers, issued.before.len()), (&numbers, 0));
    let again = issue(&desk, month).await.unwrap();
    assert_eq!((again.numbers.len(), &again.before), (0, &numbers), "nothing twice");
    let invoices = all(&desk).await;
    let gross: i64 = invoices.iter().map(|invoice| invoice.totals.gross.nanos).sum();
    assert_eq!(gross, income(&desk, month).await, "to the nano");
    let [first, second, third] = &invoices[..] else { panic!("{invoices:?}") };
    let line = &first.lines[0];
    assert_eq!((line.seconds, line.nanos_per_hour), (7_000, Some(PRICE)));
    assert_eq!((line.from, line.to), (begins.plus_secs(-1), month.ends_at().plus_secs(-1)));
    assert_eq!(line.net.nanos, 4 * UNIT + 3 - 66_666_666);
    assert_eq!((line.net.cents, first.totals.gross.cents), (393, cents(line.net.nanos)));
    assert_eq!(first.balance.opening_nanos, 20 * UNIT - 66_666_666);
    assert_eq!(first.balance.closing_nanos, 16 * UNIT - 3);
    assert_eq!(second.customer, Some(customer));
    assert_eq!((second.paid.promotional.nanos, second.paid.prepaid.nanos), (UNIT, 5));
    assert_eq!((second.lines[0].from, second.lines[0].seconds), (since, 1_000));
    assert_eq!((third.paid.prepaid.nanos, third.paid.owed.nanos), (UNIT, 2 * UNIT));
    assert_eq!(third.customer, None);
    assert_eq!(invoices::get(&world.executor, &numbers[1]).await.unwrap(), *second);
    for wrong in ["CN-2020-000001", "CX-2026-000001", "nonsense"] {
        let error = invoices::get(&world.executor, wrong).await.unwrap_err();
        assert!(error.to_string().contains(wrong), "{error}");
    }
    assert!(replay::verify(world.executor.log()).await.unwrap().identical);
}

#[sqlx::test(migrations = "../migrations")]
async fn taxes_are_read_from_the_postings_and_what_was_forgotten_gets_another_invoice(
    owner: PgPool,
) {
    let desk = Desk::of(World::new(owner.clone()).await);
    let month = last_month(&desk);
    let (world, since) = (&desk.world, month.starts_at().plus_secs(HOUR));
    set_entity(&desk).await;
    top_up(world, 1, 20 * UNIT, since).await;
    rent(world, 1, (10 * UNIT, since)).await;
    charge(world, 1, (UNIT, 10_000), since.plus_secs(10_000)).await;
    close(world, month).await;
    issue(&desk, month).await.unwrap();
    reopen(world, month).await;
    charge_with_tax(&desk.world, 1, since.plus_secs(20_000)).await;
    assert_eq!(code(issue(&desk, month).await), "period_not_closed");
    close(world, month).await;
    let issued = issue(&desk, month).await.unwrap();
    assert_eq!((issued.numbers.len(), issued.before.len()), (1, 1));
    let invoices = all(&desk).await;
    let [first, second] = &invoices[..] else { panic!("{invoices:?}") };
    assert_eq!((first.totals.gross.nanos, first.totals.tax.nanos), (UNIT, 0));
    let totals = second.totals;
    assert_eq!((totals.net.cents, totals.tax.cents, totals.gross.cents), (100, 8, 108));
    let tax = &second.taxes[0];
    assert_eq!((tax.jurisdiction.as_str(), tax.rate_basis_points), ("CH", 810));
    assert_eq!((second.counted.part, second.lines[0].seconds), (2, 10_000));
    assert_eq!(second.counted.after_position, first.counted.position);
    let gross: i64 = invoices.iter().map(|invoice| invoice.totals.gross.nanos).sum();
    assert_eq!(gross, income(&desk, month).await);
    assert_eq!(issue(&desk, month).await.unwrap().before.len(), 2);
}

/// Somebody else's run: another process with its own memory.
fn beside(desk: &Desk) -> Commands {
    let executor = Executor::new(EventLog::over(desk.world.pool.clone()));
    let clock = Arc::clone(&desk.commands.clock);
    let ids = Arc::clone(&desk.commands.ids);
    Commands { executor, clock, ids, home_jurisdiction: None }
}

#[sqlx::test(migrations = "../migrations")]
async fn two_runs_at_once_and_one_that_breaks_off_leave_no_gap_and_nothing_twice(owner: PgPool) {
    const ORGANISATIONS: u128 = 12;
    let desk = Desk::of(World::new(owner.clone()).await);
    let month = last_month(&desk);
    let (world, since) = (&desk.world, month.starts_at());
    set_entity(&desk).await;
    for n in 1..=ORGANISATIONS {
        top_up(world, n, 2 * UNIT, since).await;
        rent(world, n, (UNIT, since)).await;
        charge(world, n, (UNIT, 1_000), since.plus_secs(1_000)).await;
    }
    close(world, month).await;
    let fault = "CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN
                     IF NEW.event_type = 'invoice.issued' AND NEW.sequence = 4 THEN
                         RAISE EXCEPTION 'the run breaks off';
                     END IF;
                     RETURN NEW;
                 END $$;
                 CREATE TRIGGER fault BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION fault()";
    owner.execute(fault).await.unwrap();
    let broken = issue(&desk, month).await.unwrap_err().to_string();
    assert!(broken.contains("the run breaks off"), "{broken}");
    assert_eq!(all(&desk).await.len(), 3, "it broke off in between");
    owner.execute("DROP TRIGGER fault ON events").await.unwrap();

    let (other, context) = (beside(&desk), desk.context("operator:grace"));
    let (mine, theirs) =
        tokio::join!(issue(&desk, month), invoices::issue(&other, &context, month));
    let (mine, theirs) = (mine.unwrap(), theirs.unwrap());
    let invoices = all(&desk).await;
    let year = &desk.now().to_string()[..4];
    let numbers: Vec<_> = invoices.iter().map(|invoice| invoice.number.clone()).collect();
    let wanted: Vec<_> = (1..=ORGANISATIONS).map(|n| format!("CN-{year}-{n:06}")).collect();
    assert_eq!(numbers, wanted, "no gap");
    let to: BTreeSet<_> = invoices.iter().map(|invoice| invoice.organisation_id).collect();
    assert_eq!(to.len(), wanted.len(), "nothing twice");
    for run in [&mine, &theirs] {
        let told: BTreeSet<_> = run.numbers.iter().chain(&run.before).cloned().collect();
        assert_eq!(told, wanted.iter().cloned().collect());
    }
    assert_eq!(mine.numbers.len() + theirs.numbers.len(), wanted.len() - 3);
    let (series, events) = world.executor.load::<InvoiceSeries>("CN").await.unwrap();
    assert_eq!((series.entity.as_deref(), events), (Some("main"), 12));
    assert!(replay::verify(world.executor.log()).await.unwrap().identical);
}
