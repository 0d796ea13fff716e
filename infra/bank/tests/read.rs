//! Files as banks write them, and files that nobody should take.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_bank::{Format, ReadError, format_of, read};
use cairn_core::money::format_nanos;
use cairn_finance::statement::day_text;
use cairn_finance::{Statement, StatementError};
use proptest::prelude::*;

const CENT: i64 = 10_000_000;

const CSV: &str = "\
booked_on,amount,currency,reference,text,balance
2026-10-30,120.50,USD,B-1,\"STRIPE,
 payout\",1120.50
2026-10-31,-20.00,USD,B-2,rent,1100.50
2026-10-31,0.01,USD,,interest,1100.51
";

const CAMT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- made up -->
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><GrpHdr><MsgId>M1</MsgId></GrpHdr>
<Stmt><Id>2026-10-31</Id><FrToDt><FrDtTm>2026-10-30T00:00:00+01:00</FrDtTm><ToDtTm>2026-11-01T00:00:00+01:00</ToDtTm></FrToDt>
<Acct><Id><IBAN>CH9300762011623852957</IBAN></Id><Ccy>EUR</Ccy></Acct>
<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">5.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><Dt><Dt>2026-10-30</Dt></Dt></Bal>
<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">115.40</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-10-31</Dt></Dt></Bal>
<Ntry><Amt Ccy="EUR">100.40</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2026-10-30</Dt></BookgDt>
<ValDt><Dt>2026-10-29</Dt></ValDt><AcctSvcrRef>R1</AcctSvcrRef><NtryDtls><TxDtls><Refs><EndToEndId>E&amp;1</EndToEndId></Refs>
<RmtInf><Ustrd>STRIPE  po</Ustrd><Ustrd>&#x7A;1</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>
<Ntry><Amt Ccy="EUR">7.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>PDNG</Cd></Sts><BookgDt><Dt>2026-10-31</Dt></BookgDt></Ntry>
<Ntry><Amt Ccy="EUR">20.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><DtTm>2026-10-31T09:00:00</DtTm></BookgDt>
<AcctSvcrRef>R2</AcctSvcrRef><NtryDtls><Btch><NbOfTxs>2</NbOfTxs></Btch>
<TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs><Amt Ccy="EUR">25.00</Amt></TxDtls>
<TxDtls><Refs><AcctSvcrRef>R2b</AcctSvcrRef></Refs><AmtDtls><TxAmt><Amt Ccy="EUR">5.00</Amt></TxAmt></AmtDtls><CdtDbtInd>DBIT</CdtDbtInd></TxDtls>
</NtryDtls></Ntry></Stmt></BkToCstmrStmt></Document>"#;

fn csv(text: &str) -> Result<Statement, ReadError> {
    read(text.as_bytes(), Some(Format::Csv)).map(|mut read| read.pop().unwrap())
}

fn camt(text: &str) -> Result<Statement, ReadError> {
    read(text.as_bytes(), None).map(|mut read| read.pop().unwrap())
}

/// Day, amount, end-to-end reference and text of each line, under its name.
fn told(statement: &Statement) -> Vec<String> {
    let line = |named: cairn_finance::NamedLine| {
        let line = named.line;
        let (on, nanos) = (day_text(line.booked_on), format_nanos(line.amount_nanos));
        let end_to_end = line.end_to_end.unwrap_or_default();
        format!("{} {on} {nanos} [{end_to_end}] {}", named.reference, line.text)
    };
    statement.named().into_iter().map(line).collect()
}

#[test]
fn a_csv_file_is_read_and_proves_itself_line_by_line() {
    let statement = csv(CSV).unwrap();
    let mut lines = told(&statement);
    let derived = lines.pop().unwrap();
    assert_eq!(lines, ["B-1 2026-10-30 120.50 [] STRIPE, payout", "B-2 2026-10-31 -20.00 [] rent"]);
    assert!(derived.starts_with('~') && derived.ends_with(" 2026-10-31 0.01 [] interest"));
    let balances = statement.balances.unwrap();
    assert_eq!((balances.opening_nanos, balances.closing_nanos), (100_000 * CENT, 110_051 * CENT));
    assert_eq!((day_text(statement.days.0), day_text(statement.days.1)).1, "2026-10-31");
    let marked = format!("\u{feff}{CSV}");
    assert_eq!(csv(&marked).unwrap(), statement, "a byte order mark changes nothing");
    let plain = csv("reference,currency,amount,booked_on\nx,USD,1,2026-10-31\n").unwrap();
    assert_eq!((plain.balances, plain.lines.len()), (None, 1), "the order is not prescribed");
}

#[test]
fn what_is_wrong_with_a_csv_file_is_told_with_its_line() {
    let with =
        |line: &str| format!("booked_on,amount,currency,reference\n2026-10-31,1,USD,a\n{line}\n");
    for (file, line, word) in [
        ("booked_on,amount,currency,reference,note\n".to_owned(), 1, "'note' is not one of"),
        ("booked_on,amount,currency\n".to_owned(), 1, "'reference' is missing"),
        ("booked_on,amount,amount,currency,reference\n".to_owned(), 1, "there twice"),
        ("booked_on,amount,currency,reference\n".to_owned(), 1, "nothing under the header"),
        (String::new(), 1, "'booked_on' is missing"),
        (with("2026-10-32,1,USD,b"), 3, "'2026-10-32' is no day"),
        (with("2026-10-31,1,EUR,b"), 3, "one currency"),
        (with("2026-10-30,1,USD,b"), 3, "oldest line comes first"),
        (with("2026-10-31,1.5e3,USD,b"), 3, "'1.5e3' is not a decimal"),
        (with("2026-10-31,\"1,50\",USD,b"), 3, "'1,50' is not a decimal"),
        (with("2026-10-31,,USD,b"), 3, "amount is empty"),
        (with("2026-10-31,1,USD"), 3, "3 values, the header 4"),
        (with("2026-10-31,99999999999,USD,b"), 3, "beyond"),
        (CSV.replace("1100.50", "1100.49"), 4, "off by -0.01"),
    ] {
        let error = csv(&file).unwrap_err();
        assert!(matches!(error, ReadError::Line { line: at, .. } if at == line), "{error}");
        assert!(error.to_string().contains(word), "{error} does not say {word}");
    }
}

#[test]
fn a_camt_file_is_read_with_its_batches_and_without_what_is_pending() {
    let statement = camt(CAMT).unwrap();
    assert_eq!(
        told(&statement),
        [
            "R1 2026-10-30 100.40 [E&1] STRIPE po z1",
            "R2 2026-10-31 25.00 [] ",
            "R2b 2026-10-31 -5.00 [] "
        ]
    );
    assert_eq!(statement.bank_account.as_deref(), Some("CH9300762011623852957"));
    assert_eq!(day_text(statement.lines[0].valued_on), "2026-10-29");
    let (from, until) = statement.days;
    assert_eq!(
        (day_text(from), day_text(until)),
        ("2026-10-30".to_owned(), "2026-10-31".to_owned())
    );
    // Another version, with a prefix.
    let other = CAMT
        .replace("camt.053.001.08", "camt.053.001.02")
        .replace("<Sts><Cd>BOOK</Cd></Sts>", "<Sts>BOOK</Sts>");
    assert_eq!(camt(&other).unwrap(), statement);
    let prefixed = CAMT
        .replace('<', "<n:")
        .replace("<n:/", "</n:")
        .replace("<n:?", "<?")
        .replace("<n:!", "<!");
    assert_eq!(camt(&prefixed.replace("xmlns=", "xmlns:n=")).unwrap(), statement);
    // Parts that do not say what they are leave the entry whole.
    let vague = CAMT.replace(r#"<Amt Ccy="EUR">25.00</Amt>"#, "");
    assert_eq!(told(&camt(&vague).unwrap())[1], "R2 2026-10-31 20.00 [] (of 2 movements)");
}

#[test]
fn a_statement_that_does_not_add_up_is_refused_with_the_difference() {
    for (from, to, difference, word) in [
        ("115.40", "115.39", -CENT, "0.01 EUR too low"),
        ("<Sts><Cd>PDNG", "<Sts><Cd>BOOK", -700 * CENT, "7.00 EUR too low"),
        ("100.40", "0.40", 10_000 * CENT, "100.00 EUR too high"),
    ] {
        let error = camt(&CAMT.replace(from, to)).unwrap_err();
        assert!(error.is_of_the_sums() && error.to_string().contains(word), "{error}");
        let ReadError::Unproven {
            error: StatementError::DoesNotAddUp { difference_nanos, .. },
            ..
        } = error
        else {
            panic!("{error}");
        };
        assert_eq!(difference_nanos, difference);
    }
}

#[test]
fn what_is_wrong_with_a_camt_file_is_told_with_its_place() {
    for (from, to, word) in [
        ("BkToCstmrStmt", "BkToCstmrDbtCdtNtfctn", "a Document of BkToCstmrDbtCdtNtfctn"),
        ("<Sts>BOOK</Sts>", "", "statement 1 (2026-10-31): entry 3: it has no status"),
        (r#"<Amt Ccy="EUR">100.40"#, r#"<Amt Ccy="USD">100.40"#, "entry 1: it is in USD"),
        (r#"<Amt Ccy="EUR">100.40"#, "<Amt>100.40", "entry 1: its amount has no currency"),
        (">100.40", ">1OO.40", "'1OO.40' is not a decimal"),
        (">100.40", ">-100.40", "less than zero"),
        (">DBIT</CdtDbtInd><Dt>", ">DEBT</CdtDbtInd><Dt>", "'DEBT' is neither"),
        ("<Cd>CLBD</Cd>", "<Cd>CLAV</Cd>", "no closing one"),
        ("<IBAN>CH9300762011623852957</IBAN>", "", "names no account"),
        ("2026-10-31T09:00:00", "31.10.2026", "'31.10.2026' is no day"),
        ("<!-- made up -->", "<!DOCTYPE x SYSTEM \"file:///etc/passwd\">", "a document type"),
        ("E&amp;1", "&secret;", "an entity of its own"),
        ("E&amp;1", "&#7;", "cannot be read"),
        ("</Stmt>", "", "byte "),
        ("</Document>", "", "not one element, whole"),
    ] {
        let error = camt(&CAMT.replace(from, to)).unwrap_err();
        assert!(error.to_string().contains(word), "{error} does not say {word}");
    }
    let deep = "<a>".repeat(40);
    assert!(camt(&deep).unwrap_err().to_string().contains("so deep"));
    assert_eq!(read(&vec![b' '; cairn_bank::BYTES_MAX + 1], None), Err(ReadError::TooLarge));
    assert_eq!(read(b"<a>\xff", None), Err(ReadError::NotText(3)));
}

#[test]
fn the_same_reference_twice_on_a_day_gets_a_number_and_lines_without_one_a_hash() {
    let file = "booked_on,amount,currency,reference\n\
        2026-10-31,1,USD,a\n2026-10-31,2,USD,a\n2026-10-31,3,USD,\n2026-10-31,3,USD,\n";
    let names: Vec<String> =
        csv(file).unwrap().named().into_iter().map(|line| line.reference).collect();
    assert_eq!((names[0].as_str(), names[1].as_str()), ("a", "a#2"));
    assert_eq!(format!("{}#2", names[2]), names[3]);
    // A longer statement has the same names for the same lines.
    let longer = file.replace("reference\n", "reference\n2026-10-30,9,USD,z\n");
    let again: Vec<String> =
        csv(&longer).unwrap().named().into_iter().map(|line| line.reference).collect();
    assert_eq!(again[1..], names);
}

#[test]
fn the_form_is_found_out_by_the_content() {
    assert_eq!(format_of(CAMT.as_bytes()), Format::Camt053);
    assert_eq!(format_of(b"\xef\xbb\xbf \n<a/>"), Format::Camt053);
    assert_eq!(format_of(CSV.as_bytes()), Format::Csv);
    assert_eq!(format_of(b""), Format::Csv);
}

proptest! {
    #[test]
    fn garbage_is_refused_and_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for format in [None, Some(Format::Csv), Some(Format::Camt053)] {
            prop_assert!(read(&bytes, format).is_err());
        }
    }

    #[test]
    fn a_file_with_some_bytes_changed_never_panics_and_what_is_taken_adds_up(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        is_xml: bool,
    ) {
        let mut bytes = if is_xml { CAMT } else { CSV }.as_bytes().to_vec();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        for statement in read(&bytes, None).into_iter().flatten() {
            prop_assert_eq!(statement.check(), Ok(()));
            prop_assert_eq!(statement.named().len(), statement.lines.len());
        }
    }

    #[test]
    fn a_statement_that_is_written_is_read_to_the_nano(amounts in prop::collection::vec(-1_000_000_000_000_i64..1_000_000_000_000, 1..40)) {
        let mut balance = 0;
        let mut file = "booked_on,amount,currency,reference,balance\n".to_owned();
        for (n, nanos) in amounts.iter().enumerate() {
            balance += nanos;
            let (amount, after) = (format_nanos(*nanos), format_nanos(balance));
            file += &format!("2026-10-31,{amount},CHF,r{n},{after}\n");
        }
        let statement = csv(&file).unwrap();
        let read: Vec<i64> = statement.lines.iter().map(|line| line.amount_nanos).collect();
        prop_assert_eq!(read, amounts);
        let balances = statement.balances.unwrap();
        prop_assert_eq!((balances.opening_nanos, balances.closing_nanos), (0, balance));
    }
}
