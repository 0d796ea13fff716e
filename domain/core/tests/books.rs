//! The shared kernel's promises about books, accounts and compute.
use cairn_core::chart::{self, AccountType};
use cairn_core::{
    AllocationId, ApiKeyId, Currency, HoldId, JournalTransaction, NodeId, OrganisationId,
    PaymentId, Posting, RefundId, Resources, Timestamp,
};
use proptest::prelude::*;

fn transfer(amount_nanos: i64) -> JournalTransaction {
    JournalTransaction::transfer(
        ("top_up", "stripe", "ch_1"),
        (Currency::EUR, amount_nanos),
        ("stripe:pending:EUR".to_owned(), "wallet:paid:x:EUR".to_owned()),
        Timestamp::from_secs(1),
    )
}

fn with_postings(amounts: &[i64]) -> JournalTransaction {
    let posting =
        |amount: &i64| Posting { account: "equity:test:EUR".to_owned(), amount_nanos: *amount };
    JournalTransaction { postings: amounts.iter().map(posting).collect(), ..transfer(1) }
}

#[test]
fn a_transfer_debits_the_first_account_and_credits_the_second() {
    let entry = transfer(7);
    assert!(entry.is_balanced());
    assert_eq!((entry.postings[0].amount_nanos, entry.postings[1].amount_nanos), (7, -7));
}

#[test]
fn only_two_or_more_legs_that_sum_to_zero_balance() {
    assert!(with_postings(&[5, -3, -2]).is_balanced());
    for amounts in [&[][..], &[0], &[1], &[1, 1], &[1, -1, 0], &[i64::MAX, 1], &[0, 0]] {
        assert!(!with_postings(amounts).is_balanced(), "{amounts:?}");
    }
}

#[test]
fn every_account_of_the_chart_has_a_type_and_ends_in_its_currency() {
    let (organisation, eur) = (OrganisationId::from_bits(1), Currency::EUR);
    let expected = [
        (chart::wallet_paid(organisation, eur), AccountType::Liability, true),
        (chart::stripe(eur), AccountType::Asset, false),
        (chart::stripe_fees(eur), AccountType::Expense, false),
        (chart::receivable_overrun(organisation, eur), AccountType::Asset, false),
        (chart::refund_payable(eur), AccountType::Liability, false),
        (chart::usage("compute", eur), AccountType::Income, false),
    ];
    for (code, kind, guarded) in expected {
        assert_eq!(AccountType::of(&code), Some(kind), "{code}");
        assert_eq!(chart::is_guarded(&code), guarded, "{code}");
        assert!(code.ends_with(":EUR"), "{code}");
    }
    assert_eq!(AccountType::of("pocket:EUR"), None);
    assert!(AccountType::Liability.is_credit_normal() && !AccountType::Asset.is_credit_normal());
}

fn resources(n: u32) -> Resources {
    let bytes = u64::from(n) << 24;
    Resources { cpu_millis: n, memory_bytes: bytes, disk_bytes: bytes, pids_max: n }
}

#[test]
fn what_is_taken_must_fit_in_every_dimension() {
    assert_eq!(resources(5).minus(resources(3)), Some(resources(2)));
    for larger in [
        Resources { cpu_millis: 6, ..resources(1) },
        Resources { memory_bytes: 6 << 24, ..resources(1) },
        Resources { disk_bytes: 6 << 24, ..resources(1) },
        Resources { pids_max: 6, ..resources(1) },
    ] {
        assert_eq!(resources(5).minus(larger), None);
    }
    let most = resources(u32::MAX);
    assert_eq!(most.plus(most).cpu_millis, u32::MAX);
}

#[test]
fn nothing_that_one_rents_may_be_zero() {
    assert!(resources(1).is_sellable());
    assert!(!Resources { cpu_millis: 0, ..resources(1) }.is_sellable());
    assert!(!Resources { pids_max: 0, ..resources(1) }.is_sellable());
    assert!(!Resources { memory_bytes: (16 << 20) - 1, ..resources(1) }.is_sellable());
    assert!(!Resources { disk_bytes: (16 << 20) - 1, ..resources(1) }.is_sellable());
}

proptest! {
    #[test]
    fn every_kind_of_id_survives_its_text_and_its_json(bits: u128) {
        macro_rules! survives {
            ($($kind:ident),+) => {$(
                let id = $kind::from_bits(bits);
                prop_assert_eq!(id.to_string().parse(), Ok(id));
                let json = serde_json::to_string(&id).unwrap();
                prop_assert_eq!(serde_json::from_str::<$kind>(&json).unwrap(), id);
            )+};
        }
        survives!(AllocationId, ApiKeyId, HoldId, NodeId, OrganisationId, PaymentId, RefundId);
    }

    #[test]
    fn every_instant_survives_its_json(micros: i64) {
        let instant = Timestamp::from_micros(micros);
        let json = serde_json::to_string(&instant).unwrap();
        prop_assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), instant);
    }
}
