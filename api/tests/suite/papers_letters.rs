//! Papers go out: by e-mail, as the files that the API answers with, and by webhooks, each to whom it is issued and to nobody else.
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cairn_api::stand_ins::kept_mail;
use cairn_commands::finance::credit_notes::{self, Credit};
use cairn_commands::ports::{Mail, MailPort, PortError};
use cairn_finance::credit_note::Wanted;
use cairn_identity::Role;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::erased::erase;
use crate::listen::Sse;
use crate::papers::{NAME, details, invoiced, put};
use crate::papers_documents::file;
use crate::person::{Mailbox, Person};
use crate::postman::{Letter, Postman};
use crate::receiver::{Got, Receiver};
use crate::support::{Caller, PATIENCE, Stage, answer};

const UNIT: i64 = 1_000_000_000;
const INVOICED: &str = "cairn.invoice.issued.v1";
const CREDITED: &str = "cairn.credit_note.issued.v1";

async fn endpoint(owner: &Caller) -> Receiver {
    let receiver = Receiver::answering(&[]).await;
    let wish = json!({ "url": receiver.url, "event_types": [INVOICED, CREDITED] });
    let made = owner.post("/v1/webhook-endpoints", &wish).await;
    assert_eq!(made.status, 201, "{}", made.body);
    receiver
}

async fn credit(stage: &Stage, (owner, invoice): (&Caller, &str)) -> String {
    let wanted = Wanted { line: Some(1), amount_nanos: Some(2 * UNIT) };
    let reason = "the node was slow".to_owned();
    let credit = Credit { invoice: invoice.to_owned(), wanted, reason };
    let (note, done) =
        credit_notes::issue(&stage.commands, &stage.context(), credit).await.unwrap();
    let seen = owner.get(&format!("/v1/invoices?min_position={}", done.position)).await;
    assert_eq!(seen.status, 200, "{}", seen.body);
    note.number
}

async fn pdf(caller: &Caller, number: &str) -> Vec<u8> {
    file(caller, &format!("/v1/invoices/{number}/document")).await.3
}

fn told(got: &[Got], kind: &str) -> Value {
    let found: Vec<_> = got.iter().filter(|got| got.kind() == kind).collect();
    assert_eq!(found.len(), 1, "{kind}");
    found[0].event()["data"].clone()
}

fn said(letters: &[Letter]) -> Vec<(&str, &str)> {
    letters.iter().map(|letter| (&*letter.file_name, &*letter.to)).collect()
}

fn tells_what_it_comes_to(data: &Value, number: &str) {
    assert_eq!(data["totals"]["gross"], json!({ "amount": "5.00", "currency": "USD" }));
    assert_eq!(data["totals"]["net"]["amount"], "4.20");
    let tax = &data["taxes"][0];
    assert_eq!((&tax["jurisdiction"], &tax["tax"]["amount"]), (&json!("DE"), &json!("0.80")));
    assert_eq!(data["document"], format!("/v1/invoices/{number}/document"));
    let text = data.to_string();
    for private in [NAME, "Example Street", "example.com", "Main Street", "the node was slow"] {
        assert!(!text.contains(private), "{private}: {text}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_paper_is_mailed_as_the_file_it_is_and_told_to_whom_it_is_issued(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let postman = Postman::putting_off(1).await;
    let stage = Stage::set_among(options.clone(), |parts| parts.mail = postman.mailer()).await;
    let (owner, other) = (stage.caller(Role::Owner).await, stage.caller(Role::Owner).await);
    let (ours, theirs) = (endpoint(&owner).await, endpoint(&other).await);
    let mut stream = Sse::open(&other, "/v1/events", None).await;
    assert_eq!(put(&owner, &details("GB")).await.status, 200);
    let mut body = details("CH");
    body["email"] = json!("other@example.com");
    assert_eq!(put(&other, &body).await.status, 200);
    let issued = invoiced(&stage, &[&owner, &other]).await;
    let [number, foreign] = &issued[..] else { panic!("{issued:?}") };
    let note = credit(&stage, (&owner, number)).await;

    let letters = postman.have(3).await;
    assert_eq!(postman.put_off(), 1, "the fault bit");
    let [of_number, of_foreign, of_note] =
        [number, foreign, &note].map(|number| format!("{number}.pdf"));
    let mut expected = [
        (&*of_number, "invoices@example.com"),
        (&*of_foreign, "other@example.com"),
        (&*of_note, "invoices@example.com"),
    ];
    expected.sort_unstable();
    assert_eq!(said(&letters), expected);
    for letter in &letters {
        let number = letter.file_name.strip_suffix(".pdf").unwrap();
        let caller = if number == foreign { &other } else { &owner };
        assert!(letter.file.starts_with(b"%PDF"), "{letter:?}");
        assert_eq!(letter.file, pdf(caller, number).await, "{number}: as the API has it");
        assert!(letter.subject.contains(number) && letter.text.contains(number), "{letter:?}");
        assert!(letter.text.contains("5.00 USD") || letter.text.contains("2.00 USD"));
    }

    let told_us = ours.have(2).await;
    let data = told(&told_us, INVOICED);
    tells_what_it_comes_to(&data, number);
    assert_eq!(&data["number"], number);
    let data = told(&told_us, CREDITED);
    assert_eq!((&data["number"], &data["invoice"]), (&json!(note), &json!(number)));
    assert_eq!(data["totals"]["gross"]["amount"], "2.00");
    assert_eq!(&told(&theirs.have(1).await, INVOICED)["number"], foreign);
    let mine = stream.until(INVOICED).await;
    assert_eq!(&mine.last().unwrap().json()["data"]["number"], foreign, "not the other's");

    // Another process takes over, and what it tells and sends is what is new.
    let second = stage.beside_among(options, |parts| parts.mail = postman.mailer()).await;
    stage.strike().await;
    let other = Caller { base: second.base.clone(), ..other };
    let last = credit(&second, (&other, foreign)).await;
    let letters = postman.have(4).await;
    assert_eq!(letters.len(), 4, "no second letter: {:?}", said(&letters));
    let of_last = letters.iter().find(|it| it.file_name.starts_with(&last)).unwrap();
    assert_eq!(of_last.file, pdf(&other, &last).await);
    assert_eq!(&told(&theirs.have(2).await, CREDITED)["number"], &last);
    assert_eq!(ours.got().len(), 2, "nothing twice, and nothing of the other's");
    second.strike().await;
}

/// A folder that does not know one address.
struct Choosy {
    folder: Arc<dyn MailPort>,
    unknown: &'static str,
}

#[async_trait]
impl MailPort for Choosy {
    async fn send(&self, mail: Mail) -> Result<(), PortError> {
        if mail.to == self.unknown {
            return Err(PortError::permanent("mail_refused", "550 no such mailbox"));
        }
        self.folder.send(mail).await
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn without_a_billing_address_that_takes_them_papers_go_to_whoever_sees_to_the_money(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let folder = tempfile::tempdir().unwrap();
    let choosy = Choosy { folder: kept_mail(folder.path()), unknown: "invoices@example.com" };
    let choosy: Arc<dyn MailPort> = Arc::new(choosy);
    let stage = Stage::set_among(options, |parts| parts.mail = choosy).await;
    let mailbox = Mailbox::at(&folder.path().join("mail"), "ada@example.org");
    let mut ada = Person::new(&stage, "ada@example.org");
    assert_eq!(ada.register().await.status, 202);
    let code = mailbox.code_beside(&[]).await;
    let verified = ada.post("/v1/email-verifications", &json!({ "code": code })).await;
    assert_eq!(verified.status, 200, "{}", verified.body);
    assert_eq!(ada.sign_in(crate::person::PASSWORD).await.status, 201);
    let organisation_id = ada.found("Engines").await;
    let owner = stage.caller_of(Role::Owner, organisation_id).await;

    // Nobody has said where to.
    let [number] = &invoiced(&stage, &[&owner]).await[..] else { panic!("one invoice") };
    mailbox.says(&format!("Subject: Invoice {number}")).await;
    // Somebody has, and the address is none.
    let request = ada.request(Method::PUT, "/v1/organisation/billing");
    let set = answer(request.header("idempotency-key", "billing").json(&details("GB"))).await;
    assert_eq!(set.status, 200, "{}", set.body);
    let note = credit(&stage, (&owner, number)).await;
    mailbox.says(&format!("Subject: Credit note {note}")).await;
    let letters: Vec<_> =
        mailbox.letters().into_iter().filter(|letter| letter.contains("attachment")).collect();
    assert_eq!(letters.len(), 2, "{letters:?}");
    for letter in letters {
        let (read, is_note) = (Letter::read(&letter), letter.contains("Credit note"));
        assert_eq!(read.text.contains("PUT /v1/organisation/billing"), is_note, "{}", read.text);
        assert!(read.text.contains("Organisation: Engines"), "{}", read.text);
        let number = if is_note { &note } else { number };
        assert_eq!(read.file, pdf(&owner, number).await, "as the API has it");
    }
    stage.strike().await;
}

/// A server that puts everything off until it is opened.
#[derive(Default)]
struct Shut {
    is_open: AtomicBool,
    asked: AtomicU32,
    took: Mutex<Vec<String>>,
}

#[async_trait]
impl MailPort for Shut {
    async fn send(&self, mail: Mail) -> Result<(), PortError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if !self.is_open.load(Ordering::SeqCst) {
            return Err(PortError::transient("mail_deferred", "451 later"));
        }
        self.took.lock().unwrap().push(mail.to);
        Ok(())
    }
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn who_is_erased_before_a_paper_leaves_is_sent_nothing(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let shut = Arc::new(Shut::default());
    let mail: Arc<dyn MailPort> = Arc::<Shut>::clone(&shut);
    let stage = Stage::set_among(options.clone(), |parts| parts.mail = mail).await;
    let (owner, other) = (stage.caller(Role::Owner).await, stage.caller(Role::Owner).await);
    assert_eq!(put(&owner, &details("GB")).await.status, 200);
    let mut body = details("CH");
    body["email"] = json!("other@example.com");
    assert_eq!(put(&other, &body).await.status, 200);
    invoiced(&stage, &[&owner, &other]).await;
    let pool = stage.commands.executor.log().pool();
    let waiting =
        "SELECT count(*) FROM process_intents WHERE process = 'send_mail' AND attempts > 0";
    let all_tried =
        async || sqlx::query_scalar::<_, i64>(waiting).fetch_one(pool).await.unwrap() == 2;
    until("both are tried", all_tried).await;
    let waits: Vec<String> =
        sqlx::query_scalar("SELECT t::text FROM process_intents t WHERE process = 'send_mail'")
            .fetch_all(pool)
            .await
            .unwrap();
    assert_eq!(waits.len(), 2, "{waits:?}");
    for row in &waits {
        assert!(!row.contains("example.com") && !row.contains("PDF"), "what waits is a number");
    }
    erase(&stage, &options, &owner).await;
    assert!(shut.asked.load(Ordering::SeqCst) > 0 && shut.took.lock().unwrap().is_empty());
    shut.is_open.store(true, Ordering::SeqCst);
    let done =
        "SELECT count(*) FROM process_intents WHERE process = 'send_mail' AND status = 'done'";
    let all_done = async || sqlx::query_scalar::<_, i64>(done).fetch_one(pool).await.unwrap() == 2;
    until("nothing waits any more", all_done).await;
    assert_eq!(*shut.took.lock().unwrap(), ["other@example.com"]);
    stage.strike().await;
}
