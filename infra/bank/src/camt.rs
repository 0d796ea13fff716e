//! CAMT.053, `BankToCustomerStatement` of ISO 20022, in any version: namespaces are not looked at.
//!
//! Only what is booked is read: what is pending or for information is not money yet. An entry that the bank made of several
//! movements becomes one line for each, if it says what each of them is and they add up to it; otherwise it stays one line.
use std::collections::BTreeSet;

use cairn_core::money::parse_nanos;
use cairn_core::{Nanos, Timestamp};
use cairn_finance::statement::{day, plus_days};
use cairn_finance::{Balances, Statement, StatementLine};

use crate::xml::{self, Element};
use crate::{LINES_MAX, ReadError, place, plain};

type Said<T> = Result<T, String>;

/// Every statement of a document.
pub fn statements(text: &str) -> Result<Vec<Statement>, ReadError> {
    let root = xml::root(text)?;
    let refuse = |message: String| ReadError::Camt { place: "the document".to_owned(), message };
    let message = root.child("BkToCstmrStmt").filter(|_| root.name == "Document");
    let message = message.ok_or_else(|| {
        let names = root.names();
        refuse(format!("it is no CAMT.053 statement: a {} of {names}", root.name))
    })?;
    let mut statements = Vec::new();
    let mut lines = 0;
    for (number, element) in (1..).zip(message.all("Stmt")) {
        let place = place(number, element.text_at("Id"));
        let statement = statement(element);
        let statement = statement.map_err(|message| ReadError::Camt { place, message })?;
        lines += statement.lines.len();
        if lines > LINES_MAX {
            return Err(ReadError::TooLarge);
        }
        statements.push(statement);
    }
    if statements.is_empty() {
        return Err(refuse("there is no statement in it".to_owned()));
    }
    Ok(statements)
}

fn statement(element: &Element) -> Said<Statement> {
    let bank_account = ["Acct/Id/IBAN", "Acct/Id/Othr/Id", "Acct/Id/PrtryAcct/Id"]
        .into_iter()
        .find_map(|path| element.text_at(path))
        .ok_or("it names no account (Acct/Id)")?;
    let opening = balance(element, &["OPBD", "PRCD"], "ITBD", false)?;
    let closing = balance(element, &["CLBD"], "ITBD", true)?;
    let (opening, closing) = opening.zip(closing).ok_or(
        "it has no opening balance (OPBD, PRCD or ITBD), or no closing one (CLBD or ITBD)",
    )?;
    let currency = element.text_at("Acct/Ccy").unwrap_or(&closing.currency);
    for other in [&opening.currency, &closing.currency] {
        one_currency(currency, other)?;
    }
    let mut lines = Vec::new();
    for (number, entry) in (1..).zip(element.all("Ntry")) {
        let read = lines_of(entry, currency);
        lines.extend(read.map_err(|message| format!("entry {number}: {message}"))?);
    }
    let days = days(element, &lines, closing.on)?;
    let balances =
        Balances { opening_nanos: opening.amount_nanos, closing_nanos: closing.amount_nanos };
    Ok(Statement {
        statement_id: element.text_at("Id").map(str::to_owned),
        bank_account: Some(bank_account.to_owned()),
        currency: currency.to_owned(),
        balances: Some(balances),
        days,
        lines,
    })
}

struct Balance {
    amount_nanos: Nanos,
    currency: String,
    on: Timestamp,
}

/// The first balance of these types, or, on a page between others, the first or last one in between.
fn balance(element: &Element, types: &[&str], between: &str, last: bool) -> Said<Option<Balance>> {
    let is = |found: &&Element, code: &str| found.text_at("Tp/CdOrPrtry/Cd") == Some(code);
    let whole = types.iter().find_map(|code| element.all("Bal").find(|found| is(found, code)));
    let mut pages = element.all("Bal").filter(|found| is(found, between));
    let found = whole.or_else(|| if last { pages.last() } else { pages.next() });
    let read = |found: &Element| {
        let (amount_nanos, currency) = amount(found)?;
        let on = day_at(found, "Dt")?.ok_or("a balance has no day (Dt)")?;
        Ok(Balance { amount_nanos: signed(amount_nanos, direction(found)?), currency, on })
    };
    found.map(read).transpose()
}

/// The days that it says it covers, and at least those of its lines. When it says none: from its first line to its closing balance.
fn days(
    element: &Element,
    lines: &[StatementLine],
    closing_on: Timestamp,
) -> Said<(Timestamp, Timestamp)> {
    let booked = || lines.iter().map(|line| line.booked_on);
    let (first, last) = (booked().min(), booked().max());
    let from = match day_at(element, "FrToDt/FrDtTm")? {
        Some(from) => from,
        None => day_at(element, "FrToDt/FrDt")?.or(first).unwrap_or(closing_on),
    };
    let until = match day_at(element, "FrToDt/ToDtTm")? {
        // Midnight is the end of the day before.
        Some(until) if until > from && is_midnight(element.text_at("FrToDt/ToDtTm")) => {
            plus_days(until, -1)
        }
        Some(until) => until,
        None => day_at(element, "FrToDt/ToDt")?.unwrap_or(closing_on),
    };
    Ok((first.map_or(from, |first| first.min(from)), last.map_or(until, |last| last.max(until))))
}

fn is_midnight(text: Option<&str>) -> bool {
    text.and_then(|text| text.split_once('T')).is_some_and(|(_, time)| time.starts_with("00:00:00"))
}

/// The lines that an entry is, none when it is not booked.
fn lines_of(entry: &Element, currency: &str) -> Said<Vec<StatementLine>> {
    let status = entry.text_at("Sts/Cd").or_else(|| entry.text_at("Sts"));
    if status.ok_or("it has no status (Sts)")? != "BOOK" {
        return Ok(vec![]);
    }
    let (nanos, of) = amount(entry)?;
    one_currency(currency, &of)?;
    let is_credit = direction(entry)?;
    let booked_on = day_at(entry, "BookgDt")?;
    let valued_on = day_at(entry, "ValDt")?;
    let booked_on = booked_on.or(valued_on).ok_or("it has no day (BookgDt)")?;
    let details: Vec<&Element> =
        entry.all("NtryDtls").flat_map(|details| details.all("TxDtls")).collect();
    let whole = StatementLine {
        reference: entry.text_at("AcctSvcrRef").map(str::to_owned),
        booked_on,
        valued_on: valued_on.unwrap_or(booked_on),
        amount_nanos: signed(nanos, is_credit),
        end_to_end: None,
        text: entry.text_at("AddtlNtryInf").map(plain).unwrap_or_default(),
    };
    let parts = parts(&details, currency, is_credit)?;
    Ok(match &details[..] {
        [] => vec![whole],
        [only] => vec![detailed(&whole, only)],
        _ if adds_up(parts.as_deref(), whole.amount_nanos) => {
            let parts = details.iter().copied().zip(parts.unwrap_or_default());
            let part = |(details, amount_nanos)| StatementLine {
                amount_nanos,
                ..detailed(&whole, details)
            };
            parts.map(part).collect()
        }
        // Of many, no one's words are those of the whole.
        many => {
            let text = format!("{} (of {} movements)", whole.text, many.len());
            vec![StatementLine { text: plain(&text), ..whole }]
        }
    })
}

fn adds_up(parts: Option<&[Nanos]>, whole_nanos: Nanos) -> bool {
    let sum = |parts: &[Nanos]| parts.iter().map(|nanos| i128::from(*nanos)).sum::<i128>();
    parts.is_some_and(|parts| sum(parts) == i128::from(whole_nanos))
}

/// What each of several movements is, if all of them say it in the currency of the account.
fn parts(details: &[&Element], currency: &str, of_entry: bool) -> Said<Option<Vec<Nanos>>> {
    let mut parts = Vec::new();
    for details in details {
        let holder = [Some(*details), details.at("AmtDtls/TxAmt")];
        let holder = holder.into_iter().flatten().find(|holder| holder.child("Amt").is_some());
        let Some(holder) = holder else { return Ok(None) };
        let (nanos, of) = amount(holder)?;
        if of != currency {
            return Ok(None);
        }
        let is_credit = match details.child("CdtDbtInd") {
            Some(_) => direction(details)?,
            None => of_entry,
        };
        parts.push(signed(nanos, is_credit));
    }
    Ok(Some(parts))
}

/// An entry as one of its movements tells it.
fn detailed(whole: &StatementLine, details: &Element) -> StatementLine {
    let end_to_end = details.text_at("Refs/EndToEndId").filter(|id| *id != "NOTPROVIDED");
    let remittance = details.all("RmtInf").flat_map(|remittance| {
        let free = remittance.all("Ustrd").map(Element::text);
        free.chain(remittance.all("Strd").filter_map(|ours| ours.text_at("CdtrRefInf/Ref")))
    });
    let references = ["Refs/EndToEndId", "Refs/TxId", "Refs/InstrId", "Refs/ClrSysRef"];
    let references = references.into_iter().filter_map(|path| details.text_at(path));
    let references = references.filter(|id| *id != "NOTPROVIDED" && Some(*id) != end_to_end);
    let said = Some(whole.text.as_str()).into_iter().chain(remittance);
    let said = said.chain(details.text_at("AddtlTxInf")).chain(references).map(plain);
    // Banks say the same in several places.
    let mut seen = BTreeSet::from([String::new()]);
    let said: Vec<String> = said.filter(|text| seen.insert(text.clone())).collect();
    let reference = details.text_at("Refs/AcctSvcrRef").map(str::to_owned);
    StatementLine {
        reference: reference.or_else(|| whole.reference.clone()),
        end_to_end: end_to_end.map(str::to_owned),
        text: said.join(" "),
        ..whole.clone()
    }
}

fn amount(holder: &Element) -> Said<(Nanos, String)> {
    let amount = holder.child("Amt").ok_or("it has no amount (Amt)")?;
    let currency = amount.currency.clone().ok_or("its amount has no currency (Ccy)")?;
    let nanos = parse_nanos(amount.text()).map_err(|error| error.to_string())?;
    if nanos < 0 {
        return Err("its amount is less than zero: CdtDbtInd says which way money went".to_owned());
    }
    Ok((nanos, currency))
}

/// Whether it is money for us.
fn direction(holder: &Element) -> Said<bool> {
    match holder.text_at("CdtDbtInd") {
        Some("CRDT") => Ok(true),
        Some("DBIT") => Ok(false),
        Some(other) => Err(format!("CdtDbtInd '{other}' is neither CRDT nor DBIT")),
        None => Err("it does not say which way money went (CdtDbtInd)".to_owned()),
    }
}

const fn signed(nanos: Nanos, is_credit: bool) -> Nanos {
    if is_credit { nanos } else { -nanos }
}

fn one_currency(account: &str, other: &str) -> Said<()> {
    if account == other {
        return Ok(());
    }
    Err(format!("it is in {other}, the account in {account}"))
}

/// The day at the end of a path, there as it is, as a day or as an instant by the bank's own clock.
fn day_at(element: &Element, path: &str) -> Said<Option<Timestamp>> {
    let Some(found) = element.at(path) else { return Ok(None) };
    let inner = found.text_at("Dt").or_else(|| found.text_at("DtTm"));
    let text = inner.unwrap_or_else(|| found.text());
    let read =
        text.get(..10).filter(|_| text.len() == 10 || text[10..].starts_with(['T', 'Z', '+', '-']));
    let read = read.and_then(day).ok_or_else(|| format!("{path}: '{text}' is no day"))?;
    Ok(Some(read))
}
