//! Statements of the bank on the command line: imported once, and clear words for a file that nobody should take.
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;

const CSV: &str = "booked_on,amount,currency,reference,text,balance\n\
    2026-10-30,120.50,USD,B-1,STRIPE,1120.50\n2026-10-31,-20.00,USD,B-2,rent,1100.50\n";

const CAMT: &str = r#"<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt><Id>S-7</Id>
<Acct><Id><IBAN>CH9300762011623852957</IBAN></Id><Ccy>USD</Ccy></Acct>
<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="USD">1200.50</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-11-01</Dt></Dt></Bal>
<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="USD">1201.50</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-11-02</Dt></Dt></Bal>
<Ntry><Amt Ccy="USD">1.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2026-11-02</Dt></BookgDt><AcctSvcrRef>R1</AcctSvcrRef></Ntry>
</Stmt></BkToCstmrStmt></Document>"#;

#[sqlx::test(migrations = "../migrations")]
async fn a_statement_is_imported_once_and_a_gap_and_a_slip_are_told(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let shell = Shell::new(&options);
    let file = |name: &str, text: &str| {
        let path = shell.data().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (csv, camt) = (file("october", CSV), file("november", CAMT));
    let done = shell.json(&format!("finance bank import {csv} --account main")).await;
    assert_eq!(
        (&done["statements"][0]["added"], &done["gaps"]),
        (&2.into(), &serde_json::json!([]))
    );
    let again = shell.json(&format!("finance bank import {csv} --account main --format csv")).await;
    assert_eq!(
        (&again["statements"][0]["lines"], &again["statements"][0]["added"]),
        (&2.into(), &0.into())
    );
    let said = shell.run(&format!("finance bank import {camt} --account main")).await;
    assert_eq!(said.code(), 0, "{}", said.talk());
    assert!(
        said.talk().contains("100.00 USD moved between 2026-10-31 and 2026-11-02"),
        "{}",
        said.talk()
    );
    let lines = shell.json("finance bank lines --open").await;
    let told: Vec<_> =
        lines.as_array().unwrap().iter().map(|line| line["amount"].as_str().unwrap()).collect();
    assert_eq!(told, ["120.50", "-20.00", "1.00"]);

    let unbalanced = file("unbalanced", &CAMT.replace("1201.50", "1201.49"));
    let changed = file(
        "changed",
        &CSV.replace("120.50,USD", "120.51,USD")
            .replace("1120.50", "1120.51")
            .replace("1100.50", "1100.51"),
    );
    let malformed = file("malformed", &CSV.replace("text", "note"));
    for (line, code, word) in [
        (
            format!("finance bank import {unbalanced}"),
            3,
            "0.01 USD too low (bank_statement_unbalanced)",
        ),
        (format!("finance bank import {changed} --account main"), 3, "bank_line_changed"),
        (format!("finance bank import {malformed} --account main"), 3, "line 1: the column 'note'"),
        (format!("finance bank import {csv}"), 3, "bank_account_missing"),
        (format!("finance bank import {camt} --account savings"), 3, "bank_account_differs"),
        (format!("finance bank import {csv} --format camt053"), 3, "bank_statement_invalid"),
        ("finance bank import /nowhere".to_owned(), 2, "/nowhere cannot be read"),
    ] {
        let said = shell.run(&line).await;
        assert_eq!(said.code(), code, "{line}: {}", said.talk());
        assert!(said.talk().contains(word), "{line}: {} does not say {word}", said.talk());
    }
    assert_eq!(shell.json("finance bank lines").await.as_array().unwrap().len(), 3);
}
