//! Invoices and credit notes, as the view has them.
use cairn_finance::credit_note::{Creditable, IssueCreditNote, Wanted};
use cairn_finance::invoice::{Balance, Counted, IssueInvoice, PaidFrom};
use cairn_finance::paper::Charged;
use cairn_finance::{
    CreditNoteCommand, CreditNoteSeries, InvoiceCommand, InvoiceEvent, InvoiceSeries, Issuer,
};
use cairn_projections::all;
use cairn_projections::finance::papers;
use sqlx::PgPool;

use crate::story::{CURRENCY, UNIT};
use crate::world::{World, organisation};

fn issuer() -> Issuer {
    Issuer {
        code: "main".to_owned(),
        name: "Cairn Compute".to_owned(),
        address: "Main Street 1".to_owned(),
        tax_id: String::new(),
    }
}

impl World {
    async fn invoice(&self, n: u128, net_nanos: i64) {
        let at = self.now();
        let charged = Charged {
            product: "compute".to_owned(),
            resource: "alloc_1".to_owned(),
            sku_id: None,
            from: at,
            to: at,
            seconds: 0,
            nanos_per_hour: None,
            discount_bps: None,
            tax: None,
            net_nanos,
            taxes: [("CH".to_owned(), net_nanos / 100)].into(),
        };
        let prepaid_nanos = net_nanos + net_nanos / 100;
        let issue = IssueInvoice {
            series: "CN".to_owned(),
            issuer: issuer(),
            organisation_id: organisation(n),
            customer: None,
            currency: CURRENCY,
            month: "2023-10".parse().unwrap(),
            charged: vec![charged],
            paid_from: PaidFrom { prepaid_nanos, ..PaidFrom::default() },
            balance: Balance::default(),
            counted: Counted { part: 1, after_position: 0, position: 1 },
            at,
        };
        self.run::<InvoiceSeries>("CN", InvoiceCommand::Issue(Box::new(issue))).await;
    }

    /// Two invoices, of two organisations, and a credit note to the second.
    pub async fn papers(&self) {
        self.invoice(1, UNIT).await;
        self.invoice(2, 2 * UNIT).await;
        let events = self.log.load("invoice_series", "CN", 1).await.unwrap();
        let InvoiceEvent::Issued { invoice } = events[0].decode().unwrap();
        let credit = IssueCreditNote {
            series: "CN".to_owned(),
            issuer: issuer(),
            organisation_id: organisation(2),
            customer: None,
            currency: CURRENCY,
            invoice: Creditable::of(&invoice),
            wanted: Wanted { line: None, amount_nanos: Some(UNIT) },
            correction: None,
            reason: "the node was slow".to_owned(),
            at: self.now(),
        };
        self.run::<CreditNoteSeries>("CN-C", CreditNoteCommand::Issue(Box::new(credit))).await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn papers_are_listed_with_what_they_add_up_to(pool: PgPool) {
    let world = World::new(pool).await;
    world.papers().await;
    world.caught_up(all()).await;
    let page = papers::list(&world.pool, (None, None), None, 2).await.unwrap();
    let numbers: Vec<_> = page.items.iter().map(|row| row.number.as_str()).collect();
    assert_eq!(numbers, ["CN-C-2023-000001", "CN-2023-000002"]);
    let note = &page.items[0];
    assert_eq!((note.kind.as_str(), note.invoice.as_deref()), ("credit_note", Some(numbers[1])));
    assert_eq!((note.net_cents, note.tax_cents, note.gross_cents), (99, 1, 100));
    let rest = papers::list(&world.pool, (None, None), page.next, 2).await.unwrap();
    assert_eq!((rest.items.len(), rest.items[0].gross_nanos), (1, UNIT + UNIT / 100));
    let of_one = (Some(organisation(1)), Some("2023-10"));
    assert_eq!(papers::list(&world.pool, of_one, None, 9).await.unwrap().items, rest.items);
    let other = papers::list(&world.pool, (None, Some("2023-11")), None, 9).await.unwrap();
    assert!(other.items.is_empty());
    let found = papers::get(&world.pool, "CN-2023-000001").await.unwrap();
    assert_eq!(found.as_ref(), rest.items.first());
    assert_eq!(papers::get(&world.pool, "CN-2023-000009").await.unwrap(), None);
    world.close().await;
}
