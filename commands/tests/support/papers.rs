//! Papers of stories, and what they give back.
use std::collections::BTreeMap;

use cairn_commands::finance::credit_notes::{self, Credit};
use cairn_core::{AllocationId, Currency, Month, OrganisationId, Timestamp};
use cairn_finance::credit_note::Wanted;
use cairn_finance::invoice::{Balance, Counted, IssueInvoice, PaidFrom};
use cairn_finance::paper::Charged;
use cairn_finance::{InvoiceCommand, InvoiceEvent, InvoiceSeries, Issuer};
use serde_json::Value;

use super::harness::{Harness, PER_HOUR};
use super::matrix::Run;
use super::stories::correct;

/// An invoice about all that an organisation used.
pub fn wish(organisation_id: OrganisationId, used_nanos: i64, at: Timestamp) -> InvoiceCommand {
    let charged = Charged {
        product: "compute".to_owned(),
        resource: "all".to_owned(),
        sku_id: None,
        from: at.plus_secs(-1_800),
        to: at,
        seconds: 1_800,
        nanos_per_hour: None,
        discount_bps: None,
        net_nanos: used_nanos,
        taxes: BTreeMap::new(),
    };
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
        charged: vec![charged],
        paid_from: PaidFrom { prepaid_nanos: used_nanos, ..PaidFrom::default() },
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
    let issue = wish(organisation_id, used_nanos, harness.clock_now());
    executor.execute::<InvoiceSeries>("CN", issue, &context, Value::Null).await.unwrap();
    let events = executor.log().load("invoice_series", "CN", 0).await.unwrap();
    let InvoiceEvent::Issued { invoice } = events.last().unwrap().decode().unwrap();
    invoice.number
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
