//! Papers of stories, and what they give back.
use std::collections::BTreeMap;

use cairn_commands::CommandContext;
use cairn_commands::finance::credit_notes::{self, Credit};
use cairn_core::{AllocationId, Currency, HoldId, Month, OrganisationId, Timestamp};
use cairn_event_log::Recorded;
use cairn_finance::credit_note::Wanted;
use cairn_finance::invoice::{Balance, Counted, IssueInvoice, PaidFrom, invoice_command};
use cairn_finance::paper::Charged;
use cairn_finance::{
    CreditNote, CreditNoteEvent, InvoiceCommand, InvoiceEvent, InvoiceSeries, Issuer,
};
use serde_json::Value;

use super::harness::{Harness, PER_HOUR};
use super::matrix::Run;
use super::stories::{correct, wallet};

/// An invoice about what an organisation used, of one rental or of all, a line for each part.
pub fn wish(
    organisation_id: OrganisationId,
    (resource, used_nanos): (&str, &[i64]),
    at: Timestamp,
) -> InvoiceCommand {
    let charged = used_nanos.iter().map(|net_nanos| Charged {
        product: "compute".to_owned(),
        resource: resource.to_owned(),
        sku_id: None,
        from: at.plus_secs(-1_800),
        to: at,
        seconds: 1_800,
        nanos_per_hour: None,
        discount_bps: None,
        tax: None,
        net_nanos: *net_nanos,
        taxes: BTreeMap::new(),
    });
    let issuer = Issuer {
        code: "main".to_owned(),
        name: "Cairn Compute".to_owned(),
        address: "Main Street 1".to_owned(),
        tax_id: String::new(),
    };
    InvoiceCommand::Issue(Box::new(IssueInvoice {
        series: "CN".to_owned(),
        issuer,
        organisation_id,
        customer: None,
        currency: Currency::USD,
        month: Month::of(at).unwrap(),
        charged: charged.collect(),
        paid_from: PaidFrom { prepaid_nanos: used_nanos.iter().sum(), ..PaidFrom::default() },
        balance: Balance::default(),
        counted: Counted { part: 1, after_position: 0, position: 1 },
        at,
    }))
}

/// The same, issued. Months that are not over for the database cannot be closed, and the clock here is ahead.
pub async fn invoice(
    harness: &Harness,
    organisation_id: OrganisationId,
    used_nanos: i64,
) -> String {
    let (executor, context) = (&harness.commands.executor, harness.context());
    let issue = wish(organisation_id, ("all", &[used_nanos]), harness.clock_now());
    executor.execute::<InvoiceSeries>("CN", issue, &context, Value::Null).await.unwrap();
    last_number(harness).await
}

async fn last_number(harness: &Harness) -> String {
    let executor = &harness.commands.executor;
    let events = executor.log().load("invoice_series", "CN", 0).await.unwrap();
    let InvoiceEvent::Issued { invoice } = events.last().unwrap().decode().unwrap();
    invoice.number
}

/// The invoice of a month that has a rental on it, with all that it was charged so far; the last of that on a line of its own, if any is named.
pub async fn invoice_of(
    harness: &Harness,
    (organisation_id, allocation_id): (OrganisationId, AllocationId),
    last_nanos: Option<i64>,
) -> (String, i64) {
    let wallet = wallet(harness, organisation_id).await;
    let hold = &wallet.holds[&HoldId::from_bits(allocation_id.bits()).to_string()];
    let (used_nanos, at) = (hold.charged_nanos(), hold.charged_at.unwrap());
    let whose = (organisation_id, Currency::USD);
    let command_id = invoice_command(Month::of(at).unwrap(), whose, 1);
    let context = CommandContext { command_id, ..harness.context() };
    let first_nanos = used_nanos - last_nanos.unwrap_or_default();
    let parts: Vec<_> = [first_nanos].into_iter().chain(last_nanos).collect();
    let issue = wish(organisation_id, (&allocation_id.to_string(), &parts), at);
    let executor = &harness.commands.executor;
    executor.execute::<InvoiceSeries>("CN", issue, &context, Value::Null).await.unwrap();
    (last_number(harness).await, used_nanos)
}

/// The credit notes to its invoices, in order.
pub async fn notes(harness: &Harness) -> Vec<CreditNote> {
    let log = harness.commands.executor.log();
    let events = log.load("credit_note_series", "CN-C", 0).await.unwrap();
    let note = |event: &Recorded| {
        let CreditNoteEvent::Issued { credit_note } = event.decode().unwrap();
        *credit_note
    };
    events.iter().map(note).collect()
}

impl Run<'_> {
    /// Forty seconds are taken back after the release. How much that is.
    pub(super) async fn correct(&mut self, allocation_id: AllocationId) -> i64 {
        let before = self.wallet().await;
        correct(self.harness, allocation_id, 40).await.unwrap();
        // What persists calls an operator only after a while.
        for _ in 0..10 {
            self.harness.run_for(200).await;
            self.mend().await;
            if self.wallet().await.posted_nanos != before.posted_nanos {
                break;
            }
        }
        self.harness.run_for(200).await;
        let given = self.wallet().await.posted_nanos - before.posted_nanos;
        assert_eq!(given, 40 * PER_HOUR / 3_600, "{:?}: given back once", self.cell);
        given
    }

    /// The same, when it is on an invoice: a note says so, once, and moves nothing.
    pub(super) async fn correct_invoiced(&mut self, allocation_id: AllocationId) -> i64 {
        let (number, _) =
            invoice_of(self.harness, (self.organisation_id, allocation_id), None).await;
        let given = self.correct(allocation_id).await;
        let wallet = self.organisation_id.to_string();
        let entry: String = sqlx::query_scalar(
            "SELECT t.source_id FROM ledger_journal_transactions t JOIN events e USING (position)
             WHERE t.kind = 'invoice_corrected' AND starts_with(e.aggregate_id, $1)",
        )
        .bind(wallet)
        .fetch_one(self.harness.pool())
        .await
        .unwrap();
        assert_eq!(self.pursue("credit_invoice", &entry).await, "done", "{:?}", self.cell);
        let notes = notes(self.harness).await;
        let ours: Vec<_> = notes.iter().filter(|note| note.invoice.number == number).collect();
        let [note] = &ours[..] else { panic!("{:?}: {ours:?}", self.cell) };
        assert_eq!(note.totals.gross.nanos, given, "{:?}", self.cell);
        assert!(self.wallet().await.credited.is_empty(), "{:?}: paper alone", self.cell);
        given
    }

    /// All that was used is given back by a credit note. How much that is.
    pub(super) async fn credit(&mut self) -> i64 {
        let before = self.wallet().await;
        let used_nanos = before.holds.values().map(|hold| hold.captured_nanos).sum();
        let number = invoice(self.harness, self.organisation_id, used_nanos).await;
        let wanted = Wanted { line: None, amount_nanos: None };
        let credit = Credit { invoice: number, wanted, reason: "the node was slow".to_owned() };
        let (commands, context) = (self.harness.commands.clone(), self.harness.context());
        let (note, _) = credit_notes::issue(&commands, &context, credit).await.unwrap();
        assert_eq!(self.pursue("credit_invoice", &note.number).await, "done", "{:?}", self.cell);
        let credited = self.wallet().await.posted_nanos - before.posted_nanos;
        assert_eq!(credited, used_nanos, "{:?}: given back once", self.cell);
        credited
    }
}
