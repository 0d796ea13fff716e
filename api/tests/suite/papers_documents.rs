//! Papers as files: what is shown as JSON, for people and their programs, and for nobody else.
use cairn_commands::finance::credit_notes::{self, Credit};
use cairn_finance::credit_note::Wanted;
use cairn_identity::Role;
use reqwest::Method;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;
use crate::papers::{NAME, details, invoiced, put};
use crate::support::{Caller, MASTER_KEY, Stage};

const UNIT: i64 = 1_000_000_000;

/// Status, type, name and bytes of a file.
pub async fn file(caller: &Caller, path: &str) -> (u16, String, String, Vec<u8>) {
    let answer = caller.request(Method::GET, path).send().await.unwrap();
    let header = |name: &str| {
        answer.headers().get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    let (status, kind) = (answer.status().as_u16(), header("content-type"));
    let name = header("content-disposition");
    (status, kind, name, answer.bytes().await.unwrap().to_vec())
}

/// What a PDF says, without how it was laid out.
pub fn words(pdf: &[u8]) -> String {
    let file = lopdf::Document::load_mem(pdf).unwrap();
    let pages: Vec<_> = file.get_pages().into_keys().collect();
    let text = file.extract_text(&pages).unwrap();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Two customers, the first of whom has said who it is; their invoices of last month, and a credit note to the first.
async fn issued(stage: &Stage, (owner, other): (&Caller, &Caller)) -> [String; 3] {
    assert_eq!(put(owner, &details("GB")).await.status, 200);
    let issued = invoiced(stage, &[owner, other]).await;
    let [number, foreign] = &issued[..] else { panic!("{issued:?}") };
    let commands = &stage.commands;
    let wanted = Wanted { line: Some(1), amount_nanos: Some(2 * UNIT) };
    let reason = "the node was slow".to_owned();
    let credit = Credit { invoice: number.clone(), wanted, reason };
    let (note, done) = credit_notes::issue(commands, &stage.context(), credit).await.unwrap();
    let seen = owner.get(&format!("/v1/invoices?min_position={}", done.position)).await;
    assert_eq!(seen.status, 200, "{}", seen.body);
    [number.clone(), foreign.clone(), note.number]
}

/// The CSV among them.
async fn every_format_is_a_file(owner: &Caller, number: &str) -> String {
    let path = format!("/v1/invoices/{number}/document");
    for (format, kind, magic) in [
        ("csv", "text/csv; charset=utf-8", &b"number,kind,"[..]),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", b"PK"),
        ("parquet", "application/vnd.apache.parquet", b"PAR1"),
    ] {
        let (status, said, name, bytes) = file(owner, &format!("{path}?format={format}")).await;
        assert_eq!((status, said.as_str()), (200, kind));
        assert_eq!(name, format!("attachment; filename=\"{number}.{format}\""));
        assert!(bytes.starts_with(magic), "{format}");
    }
    let csv = file(owner, &format!("{path}?format=csv")).await.3;
    let csv = String::from_utf8(csv).unwrap();
    assert!(csv.contains(&format!("{number},invoice,,")) && csv.contains(",5.000000000,"), "{csv}");
    csv
}

#[sqlx::test(migrations = "../migrations")]
async fn a_paper_is_a_file_for_those_who_may_read_it(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options.clone()).await;
    let (owner, other) = (stage.caller(Role::Owner).await, stage.caller(Role::Owner).await);
    let [number, foreign, note] = issued(&stage, (&owner, &other)).await;
    let path = format!("/v1/invoices/{number}/document");

    let (status, kind, name, pdf) = file(&owner, &path).await;
    assert_eq!((status, kind.as_str()), (200, "application/pdf"));
    assert_eq!(name, format!("attachment; filename=\"{number}.pdf\""));
    let said = words(&pdf);
    for text in [
        &format!("Invoice {number}"),
        NAME,
        "12 Example Street",
        "London",
        "Cairn Compute",
        "8000 Zürich",
        "Tax id CHE-123",
        "Total",
        "5.00 USD",
        "4.20 USD",
        "19.00 %",
        "5000",
        "page 1 of 1",
    ] {
        assert!(said.contains(text), "'{text}' is missing: {said}");
    }
    assert!(!said.contains("personal:"), "{said}");
    assert_eq!(file(&owner, &path).await.3, pdf, "the same paper is the same file");
    let credited =
        words(&file(&owner, &format!("/v1/invoices/{note}/document?format=pdf")).await.3);
    for text in [&format!("Credit note {note}"), &number, NAME, "the node was slow", "2.00 USD"] {
        assert!(credited.contains(text), "'{text}' is missing: {credited}");
    }

    let csv = every_format_is_a_file(&owner, &number).await;
    let viewer = stage.caller_of(Role::Viewer, owner.organisation_id).await;
    let finance = stage.caller(Role::PlatformFinance).await;
    for caller in [&viewer, &finance] {
        assert_eq!(file(caller, &path).await.3, pdf, "who may read the invoice may have the file");
    }
    let stranger = other.get(&path).await;
    assert_eq!((stranger.status, stranger.code()), (404, "unknown_invoice"));
    let support = stage.caller(Role::PlatformSupport).await;
    assert_eq!(support.get(&path).await.status, 403);
    let wrong = owner.get(&format!("{path}?format=doc")).await;
    assert_eq!((wrong.status, wrong.code()), (400, "query_invalid"));
    assert!(wrong.text("/detail").contains("pdf"), "{}", wrong.body);

    let foreign = file(&other, &format!("/v1/invoices/{foreign}/document")).await;
    assert_eq!(foreign.0, 200);
    let key = stage.path(MASTER_KEY);
    let shell = Shell::new(&options).with("CAIRN_PRIVACY_KEY", key.to_string_lossy());
    the_same_on_the_command_line(&shell, &number, (&pdf, &csv)).await;
    stage.strike().await;
}

async fn the_same_on_the_command_line(shell: &Shell, number: &str, (pdf, csv): (&[u8], &str)) {
    let out = shell.data().join("invoice.pdf");
    let show = format!("finance invoices show {number}");
    let said = shell.run(&format!("{show} --format pdf --out {}", out.display())).await;
    assert_eq!((said.code(), said.data()), (0, String::new()), "{}", said.talk());
    assert_eq!(std::fs::read(&out).unwrap(), pdf, "both say the same");
    let csv_said = shell.run(&format!("{show} --format csv")).await;
    assert_eq!(csv_said.data(), csv, "{}", csv_said.talk());
    let nobody = shell.run("finance invoices show CN-2020-000001 --format pdf --out x.pdf").await;
    assert_eq!(nobody.code(), 4, "{}", nobody.talk());
    assert!(nobody.talk().contains("unknown_invoice"), "{}", nobody.talk());
}
