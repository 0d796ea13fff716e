//! `cairn finance entity` and `cairn finance invoices`: who issues, and what.
use std::io::Write as _;
use std::path::PathBuf;

use cairn_commands::finance::credit_notes::{self, Credit};
use cairn_commands::finance::{entity, invoices};
use cairn_core::money::format_nanos;
use cairn_core::{Month, OrganisationId};
use cairn_finance::credit_note::Wanted;
use cairn_finance::invoice::parse_number;
use cairn_finance::rounding::NANOS_PER_CENT;
use cairn_finance::{Invoice, Issuer, LegalEntity};
use cairn_projections::finance::papers as view;
use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::super::args::{nanos, reason};
use super::super::exit::CliError;
use super::super::output::Output;
use super::super::pages::all_pages;
use super::super::session::SessionParts;
use super::super::sink::Sink;
use crate::http::invoices::PaperRow;
use crate::papers::{DocumentError, DocumentFormat, Issued};

impl From<DocumentError> for CliError {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Paper(error) => error.into(),
            DocumentError::Sealed(error) => error.into(),
            DocumentError::Pdf(error) => Self::failure(error.to_string()),
            DocumentError::Sheet(error) => error.into(),
        }
    }
}

/// `finance entity`
#[derive(Debug, Subcommand)]
pub enum EntityCommand {
    /// Says who issues invoices, and what their numbers begin with. Papers that were issued stay as they are.
    Set(SetArgs),
    /// Shows who issues; organisations belong to the first.
    List,
}

/// `finance entity set`
#[derive(Debug, Args)]
pub struct SetArgs {
    /// Its code with us: small letters, digits and `-`.
    code: String,
    /// Its name.
    #[arg(long)]
    name: String,
    /// Its address; `\n` between its lines.
    #[arg(long)]
    address: String,
    /// Its number with the tax authorities.
    #[arg(long, default_value = "")]
    tax_id: String,
    /// What the numbers of its papers begin with, for example `CN`.
    #[arg(long)]
    series: String,
}

/// `finance invoices`
#[derive(Debug, Subcommand)]
pub enum InvoicesCommand {
    /// Issues the invoices of a closed month. Repeated, it issues what is missing and nothing twice.
    Issue {
        /// Which month, for example `2026-10`.
        month: Month,
    },
    /// Gives back what was wrong with an invoice, and issues a credit note about it. The money is in the wallet as soon as the server has
    /// moved it.
    Credit(CreditArgs),
    /// Shows invoices and credit notes, the last issued first.
    List {
        /// Of one month, for example `2026-10`.
        #[arg(long)]
        month: Option<Month>,
        /// Of one organisation.
        #[arg(long)]
        organisation: Option<OrganisationId>,
    },
    /// Shows one invoice or credit note as it was issued.
    Show {
        /// For example `CN-2026-000001`.
        number: String,
        /// Writes it as a document, whatever `--output` says.
        #[arg(long, value_enum)]
        format: Option<DocumentFormat>,
        /// Where to write the document; to stdout when absent.
        #[arg(long, value_name = "FILE", requires = "format")]
        out: Option<PathBuf>,
    },
}

/// `finance invoices credit`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("how_much").required(true).args(["amount", "all"]))]
pub struct CreditArgs {
    /// The invoice's number.
    number: String,
    /// How much, in whole cents, for example `5.00`.
    #[arg(long, value_parser = nanos)]
    amount: Option<i64>,
    /// All that is left.
    #[arg(long)]
    all: bool,
    /// Of this line alone, counted from 1.
    #[arg(long)]
    line: Option<u32>,
    /// Why; it stands on the paper.
    #[arg(long, value_parser = reason)]
    reason: String,
}

/// Who issues, as people read it.
#[derive(Serialize)]
struct ShownEntity {
    code: String,
    name: String,
    address: String,
    tax_id: String,
    series: String,
}

pub(super) async fn entity(
    parts: &SessionParts,
    command: EntityCommand,
    output: Output,
) -> Result<(), CliError> {
    let commands = &parts.commands;
    let shown = |entity: LegalEntity| {
        let LegalEntity { issuer, series } = entity;
        issuer.map(|Issuer { code, name, address, tax_id }| ShownEntity {
            code,
            name,
            address,
            tax_id,
            series,
        })
    };
    match command {
        EntityCommand::Set(SetArgs { code, name, address, tax_id, series }) => {
            let address = address.replace("\\n", "\n");
            let issuer = Issuer { code, name, address, tax_id };
            let done = entity::set(commands, &parts.context(None), (issuer, series)).await?;
            let (entity, _) = commands.executor.load::<LegalEntity>(&done.aggregate_id).await?;
            output.one(&shown(entity))
        }
        EntityCommand::List => {
            let entities = entity::all(&commands.executor).await?;
            let rows: Vec<_> = entities.into_iter().filter_map(shown).collect();
            output.rows(&rows, &["code", "name", "address", "tax_id", "series"])
        }
    }
}

pub(super) async fn run(
    parts: &SessionParts,
    command: InvoicesCommand,
    output: Output,
) -> Result<(), CliError> {
    let commands = &parts.commands;
    match command {
        InvoicesCommand::Issue { month } => {
            let issued = invoices::issue(commands, &parts.context(None), month).await?;
            output.say(&format!("{} issued, {} before", issued.numbers.len(), issued.before.len()));
            output.one(&issued)
        }
        InvoicesCommand::List { month, organisation } => {
            parts.catch_up(&[view::NAME]).await?;
            let month = month.map(|month| month.to_string());
            let rows = all_pages(async |after| {
                let of = (organisation, month.as_deref());
                Ok(view::list(parts.pool(), of, after, 200).await?)
            });
            let rows: Vec<_> = rows.await?.into_iter().map(PaperRow::from).collect();
            let columns = [
                "number",
                "kind",
                "invoice",
                "organisation_id",
                "month",
                "issued_at",
                "net",
                "tax",
                "gross",
                "currency",
            ];
            output.rows(&rows, &columns)
        }
        InvoicesCommand::Credit(args) => {
            let CreditArgs { number, amount, all: _, line, reason } = args;
            let wanted = Wanted { line, amount_nanos: amount };
            let input = Credit { invoice: number, wanted, reason };
            let (note, done) = credit_notes::issue(commands, &parts.context(None), input).await?;
            output.one(&json!({
                "number": note.number,
                "invoice": note.invoice.number,
                "amount": decimal(note.totals.gross.cents),
                "currency": note.currency,
                "position": done.position,
            }))
        }
        InvoicesCommand::Show { number, format: Some(format), out } => {
            let mut sink = Sink::open(out.as_deref(), format.is_text(), output)?;
            let issued = Issued::open(&commands.executor, &number, None).await?;
            sink.write_all(&issued.document(format)?)?;
            sink.finish(output)
        }
        InvoicesCommand::Show { number, .. } if is_credit_note(&number) => {
            output.one(&credit_notes::get(&commands.executor, &number).await?)
        }
        InvoicesCommand::Show { number, .. } => {
            let invoice = invoices::get(&commands.executor, &number).await?;
            show(&invoice, output)
        }
    }
}

fn decimal(cents: i64) -> String {
    format_nanos(cents * NANOS_PER_CENT)
}

fn is_credit_note(number: &str) -> bool {
    parse_number(number).is_some_and(|(series, _)| series.ends_with("-C"))
}

fn show(invoice: &Invoice, output: Output) -> Result<(), CliError> {
    if output.is_json() {
        return output.one(invoice);
    }
    let lines = invoice.lines.iter().map(|line| {
        json!({
            "resource": line.resource,
            "sku": line.sku_id,
            "from": line.from,
            "to": line.to,
            "seconds": line.seconds,
            "per_hour": line.nanos_per_hour.map(format_nanos),
            "net": decimal(line.net.cents),
            "gross": decimal(line.gross.cents),
        })
    });
    let lines: Vec<_> = lines.collect();
    let columns = ["resource", "sku", "from", "to", "seconds", "per_hour", "net", "gross"];
    output.rows(&lines, &columns)?;
    let totals = &invoice.totals;
    let (net, tax, gross) = (totals.net.cents, totals.tax.cents, totals.gross.cents);
    let (net, tax, gross) = (decimal(net), decimal(tax), decimal(gross));
    output.say(&format!("net {net}, tax {tax}, total {gross} {}", invoice.currency));
    for owed in invoice.reverse_charges() {
        output.say(&owed.says(None));
    }
    Ok(())
}
