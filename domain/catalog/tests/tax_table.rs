//! The rules of a tax table.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_catalog::{TaxTable, TaxTableCommand, TaxVersion};
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{Decider, TaxTreatment, Timestamp};

fn vat(ppm: u32, effective: i64) -> TaxVersion {
    TaxVersion {
        version: 0,
        name: "VAT".to_owned(),
        ppm,
        inclusive: false,
        reverse_charge: true,
        effective_at: Timestamp::from_secs(effective),
    }
}

fn set_in(jurisdiction: &str, tax: TaxVersion) -> TaxTableCommand {
    let jurisdiction = jurisdiction.to_owned();
    TaxTableCommand::SetRate { jurisdiction, tax, at: Timestamp::from_secs(1) }
}

fn set(tax: TaxVersion) -> TaxTableCommand {
    set_in("DE", tax)
}

fn fold(commands: impl IntoIterator<Item = TaxTableCommand>) -> TaxTable {
    commands.into_iter().fold(TaxTable::default(), |table, command| {
        let events = table.decide(command).unwrap();
        events.into_iter().fold(table, TaxTable::evolve)
    })
}

fn check(history: &[TaxTableCommand], command: TaxTableCommand) -> When<TaxTable> {
    decide_both_ways(fold(history.to_vec()), command)
}

#[test]
fn a_rate_is_set_once_and_its_version_is_ours_to_give() {
    assert_eq!(check(&[], set(vat(190_000, 10))).events().len(), 1);
    check(&[set(vat(190_000, 10))], set(vat(190_000, 10))).then([]);
    let later = TaxVersion { version: 9, ..vat(160_000, 20) };
    let table = fold([set(vat(190_000, 10)), set(later)]);
    assert_eq!(table.versions.keys().collect::<Vec<_>>(), [&1, &2]);
    let at = |secs| table.tax_at(Timestamp::from_secs(secs), false);
    assert_eq!(at(9), None);
    assert_eq!((at(10).unwrap().rate.ppm, at(10).unwrap().version), (190_000, 1));
    assert_eq!((at(20).unwrap().rate.ppm, at(20).unwrap().version), (160_000, 2));
    // Back again is a version of its own.
    assert_eq!(check(&[set(vat(1, 0)), set(vat(2, 1))], set(vat(1, 2))).events().len(), 1);
}

#[test]
fn a_rate_of_zero_ends_a_tax_and_begins_none() {
    check(&[], set(vat(0, 0))).then_refused("tax_invalid");
    let table = fold([set(vat(190_000, 10)), set(vat(0, 20))]);
    assert!(table.tax_at(Timestamp::from_secs(19), false).is_some());
    assert_eq!(table.tax_at(Timestamp::from_secs(20), false), None);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    check(&[], set_in("de", vat(1, 0))).then_refused("jurisdiction_invalid");
    check(&[], set_in("DE:USD", vat(1, 0))).then_refused("jurisdiction_invalid");
    check(&[], set(vat(1_000_001, 0))).then_refused("tax_invalid");
    for name in ["", " VAT", "VAT\n", &"V".repeat(41)] {
        let tax = TaxVersion { name: name.to_owned(), ..vat(1, 0) };
        check(&[], set(tax)).then_refused("tax_invalid");
    }
}

#[test]
fn a_business_owes_it_itself_where_the_table_says_so() {
    let table = fold([set(vat(190_000, 0))]);
    let now = Timestamp::from_secs(1);
    let business = table.tax_at(now, true).unwrap();
    assert_eq!(business.treatment, TaxTreatment::ReverseCharge);
    assert_eq!((business.price(100), business.due()), (Ok(100), None));
    let person = table.tax_at(now, false).unwrap();
    assert_eq!(person.treatment, TaxTreatment::Exclusive);
    assert_eq!((person.price(100), person.due().unwrap().within(119)), (Ok(119), 19));
    let here = TaxVersion { reverse_charge: false, inclusive: true, ..vat(190_000, 0) };
    let table = fold([set(here)]);
    let included = table.tax_at(now, true).unwrap();
    assert_eq!((included.treatment, included.price(119)), (TaxTreatment::Inclusive, Ok(119)));
    assert_eq!(included.due().unwrap().within(119), 19);
}
