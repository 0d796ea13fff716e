//! What the processes make of a mail server that does not answer: it is left alone, and every letter arrives once when it is back.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cairn_commands::finance::entity;
use cairn_commands::identity::Code;
use cairn_commands::identity::people::{Register, register};
use cairn_commands::neighbours::{NeighbourConfig, Neighbours};
use cairn_commands::ports::Clock;
use cairn_core::OrganisationId;
use cairn_finance::Customer;
use cairn_mail::{MailConfig, Mailer, Sender};
use cairn_neighbours::State;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use support::faults::Mode;
use support::harness::{Harness, Memory};
use support::letters::blank;
use support::papers::invoice;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How a mail server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    /// It hangs up on whoever comes.
    HangsUp,
    /// It says that it is too busy, and hangs up.
    TooBusy,
    /// It knows nobody.
    Refuses,
}

/// A server that speaks as much SMTP as one message needs, over TCP.
struct Server {
    mood: watch::Sender<Mood>,
    /// Who came while it was not well.
    came: Arc<AtomicUsize>,
    /// `Message-ID`s that it took.
    took: Arc<Mutex<Vec<String>>>,
    /// Those messages, whole.
    texts: Arc<Mutex<Vec<String>>>,
    port: u16,
    _serving: JoinSet<()>,
}

impl Server {
    async fn start(first: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mood, now) = watch::channel(first);
        let (came, took) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (counted, taken, mut serving) = (Arc::clone(&came), Arc::clone(&took), JoinSet::new());
        let texts = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&texts);
        serving.spawn(async move {
            let mut guests = JoinSet::new();
            loop {
                let (mut guest, _) = listener.accept().await.unwrap();
                let mood = *now.borrow();
                if mood != Mood::Well {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
                match mood {
                    Mood::HangsUp => {}
                    Mood::TooBusy => {
                        let _ = guest.write_all(b"421 too busy\r\n").await;
                    }
                    Mood::Well | Mood::Refuses => {
                        let (taken, kept) = (Arc::clone(&taken), Arc::clone(&kept));
                        let knows = mood == Mood::Well;
                        guests
                            .spawn(async move { drop(talk(guest, knows, (&taken, &kept)).await) });
                    }
                }
            }
        });
        Self { mood, came, took, texts, port, _serving: serving }
    }

    fn mailer(&self) -> Mailer {
        let place = format!("smtp://127.0.0.1:{}", self.port).parse().unwrap();
        Mailer::try_new(MailConfig { place, from: Sender::default(), ca: None }).unwrap()
    }

    fn came(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }

    /// What it took, sorted.
    fn took(&self) -> Vec<String> {
        let mut took = self.took.lock().unwrap().clone();
        took.sort();
        took
    }
}

async fn talk(
    guest: TcpStream,
    knows: bool,
    (took, texts): (&Mutex<Vec<String>>, &Mutex<Vec<String>>),
) -> std::io::Result<()> {
    let mut guest = BufReader::new(guest);
    guest.write_all(b"220 mail.example.org\r\n").await?;
    let (mut line, mut is_text, mut id) = (String::new(), false, String::new());
    let mut text = String::new();
    while guest.read_line(&mut line).await? > 0 {
        let said = std::mem::take(&mut line);
        let answer: &[u8] = match said.trim_end() {
            "." if is_text => {
                is_text = false;
                took.lock().unwrap().push(std::mem::take(&mut id));
                texts.lock().unwrap().push(std::mem::take(&mut text));
                b"250 taken\r\n"
            }
            header if is_text => {
                text.push_str(&said);
                if let Some(found) = header.strip_prefix("Message-ID: ") {
                    found.clone_into(&mut id);
                }
                continue;
            }
            to if to.starts_with("RCPT") && !knows => b"550 no such mailbox\r\n",
            "DATA" => {
                is_text = true;
                b"354 go on\r\n"
            }
            "QUIT" => return guest.write_all(b"221 bye\r\n").await,
            _ => b"250 mail.example.org\r\n",
        };
        guest.write_all(answer).await?;
    }
    Ok(())
}

/// Somebody registers, and waits for a code.
async fn register_one(harness: &Harness, name: &str) -> String {
    let code = Code {
        token: format!("code of {name}"),
        token_sha256: format!("hash of {name}"),
        expires_at: harness.clock_now().plus_secs(86_400),
    };
    let input = Register {
        email: format!("{name}@example.org"),
        email_index: format!("index of {name}"),
        name: name.to_owned(),
        password: "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA".to_owned(),
        code,
    };
    let registered = register(&harness.commands, &harness.context(), input).await;
    registered.unwrap().aggregate_id
}

fn state(neighbours: &Neighbours) -> State {
    neighbours.standings().into_iter().find(|it| it.neighbour == "mail").unwrap().state
}

/// Of the letter to a person.
async fn of_letter<T>(harness: &Harness, what: &str, user_id: &str) -> T
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
{
    let sql = format!(
        "SELECT {what} FROM process_intents WHERE name = 'send_mail' AND key LIKE $1 || '/%'"
    );
    sqlx::query_scalar(&sql).bind(user_id).fetch_one(harness.pool()).await.unwrap()
}

/// A runner that sends its letters to this server, as a server of ours does.
async fn harness(db: PgConnectOptions, server: &Server) -> (Harness, Neighbours) {
    let mut harness = Harness::start(db, Memory::new()).await;
    harness.stop_runner().await;
    let clock = Arc::clone(&harness.clock) as Arc<dyn Clock>;
    let neighbours = Neighbours::new(NeighbourConfig::default(), clock);
    harness.neighbours = Some(neighbours.clone());
    harness.mail = Some(Arc::new(server.mailer()));
    harness.start_runner();
    (harness, neighbours)
}

/// Time passes until so many letters are handed over.
async fn handed_over(harness: &mut Harness, letters: i64) {
    let sent = "SELECT count(*) FROM process_intents WHERE name = 'send_mail' AND status = 'done'";
    for _ in 0..40 {
        harness.run_for(10).await;
        let done: i64 = sqlx::query_scalar(sent).fetch_one(harness.pool()).await.unwrap();
        if done == letters {
            return;
        }
    }
    panic!("{}", harness.dump().await);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_mail_server_that_hangs_up_is_left_alone_and_every_letter_arrives_once(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let server = Server::start(Mood::HangsUp).await;
    let (mut harness, neighbours) = harness(db, &server).await;
    let first = register_one(&harness, "ada").await;
    harness.until("it is left alone", |_| state(&neighbours) == State::Open).await;
    assert_eq!(server.came(), 5, "the fault bit");
    // Who comes now is not even tried, and that is no attempt.
    let second = register_one(&harness, "bert").await;
    let is_its = |key: &str| key.starts_with(&second);
    harness.until("it waits", |s| s.processes.iter().any(|it| is_its(&it.key))).await;
    let why: String = of_letter(&harness, "last_error", &second).await;
    assert!(why.starts_with("neighbour_left_alone: "), "{why}");
    assert_eq!(of_letter::<i32>(&harness, "attempts", &second).await, 0);
    assert_eq!(server.came(), 5, "nobody knocks while it is left alone");
    // One at a time tries, and each time it is left alone for longer.
    harness.run_for(120).await;
    let tried = server.came() - 5;
    assert!((1..=6).contains(&tried), "5, 10, 20, 40 and 60 seconds apart: {tried}");
    server.mood.send_replace(Mood::Well);
    handed_over(&mut harness, 2).await;
    assert_eq!(state(&neighbours), State::Closed);
    let took = server.took();
    assert!(took.len() == 2 && took[0] != took[1], "none is lost, none came twice: {took:?}");
    assert_eq!(of_letter::<String>(&harness, "status", &first).await, "done");
    harness.kill_runner().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_mail_server_that_is_too_busy_has_answered_and_is_asked_again(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let server = Server::start(Mood::TooBusy).await;
    let (mut harness, neighbours) = harness(db, &server).await;
    let letter = register_one(&harness, "ada").await;
    harness.run_for(240).await;
    assert!(server.came() > 5, "the fault bit, oftener than a breaker would let it");
    assert_eq!(state(&neighbours), State::Closed);
    let why: String = of_letter(&harness, "last_error", &letter).await;
    assert!(why.starts_with("mail_deferred: "), "{why}");
    server.mood.send_replace(Mood::Well);
    handed_over(&mut harness, 1).await;
    assert_eq!(server.took().len(), 1);
    harness.kill_runner().await;
}

/// An organisation whose papers go to this address.
async fn billed(harness: &Harness, organisation_id: OrganisationId, email: &str) {
    let text = str::to_owned;
    let customer = Customer {
        name: text("Analytical Engines Ltd"),
        address: text("12 Example Street"),
        country: text("GB"),
        tax_id: String::new(),
        email: text(email),
    };
    let input = (organisation_id, customer);
    entity::set_billing(&harness.commands, &harness.context(), input).await.unwrap();
}

/// Whose letter it is, and the file in it.
fn opened(text: &str) -> (String, Vec<u8>) {
    let (_, file) = text.split_once("Content-Disposition: attachment").unwrap();
    let (_, file) = file.split_once("\r\n\r\n").unwrap();
    let file: String = file.lines().take_while(|line| !line.starts_with("--")).collect();
    let to = text.lines().find_map(|line| line.strip_prefix("To: ")).unwrap();
    (to.to_owned(), STANDARD.decode(file).unwrap())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_paper_that_was_put_off_arrives_once_with_its_file_and_never_again(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let server = Server::start(Mood::TooBusy).await;
    let (mut harness, _) = harness(db, &server).await;
    let organisation_id = harness.organisation();
    billed(&harness, organisation_id, "invoices@example.com").await;
    // Issued, whatever becomes of the letter.
    let number = invoice(&harness, organisation_id, 5_000_000_000).await;
    harness.run_for(60).await;
    assert!(server.came() > 1 && server.took().is_empty(), "the fault bit, and it is tried again");
    server.mood.send_replace(Mood::Well);
    handed_over(&mut harness, 1).await;
    let texts = server.texts.lock().unwrap().clone();
    let [text] = &texts[..] else { panic!("{texts:?}") };
    assert_eq!(opened(text), ("invoices@example.com".to_owned(), blank(&number)));
    assert!(text.contains(&format!("filename=\"{number}.pdf\"")), "{text}");
    // Another process goes on where this one was, and an organisation without anybody gets nothing.
    harness.kill_runner().await;
    harness.start_runner();
    invoice(&harness, harness.organisation(), 5_000_000_000).await;
    handed_over(&mut harness, 2).await;
    assert_eq!(server.took().len(), 1, "no second letter");
    harness.kill_runner().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_paper_that_no_address_takes_waits_for_an_operator_and_goes_to_the_next_address(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let server = Server::start(Mood::Refuses).await;
    let (mut harness, _) = harness(db, &server).await;
    let organisation_id = harness.organisation();
    billed(&harness, organisation_id, "typo@example.com").await;
    let number = invoice(&harness, organisation_id, 5_000_000_000).await;
    let stuck = harness.until("an operator is called", |s| !s.stuck.is_empty()).await;
    assert_eq!((stuck.stuck.len(), stuck.stuck[0].name.as_str()), (1, "send_mail"));
    server.mood.send_replace(Mood::Well);
    billed(&harness, organisation_id, "invoices@example.com").await;
    harness.retry(&stuck.stuck[0].id).await.unwrap();
    handed_over(&mut harness, 1).await;
    let texts = server.texts.lock().unwrap().clone();
    let opened: Vec<_> = texts.iter().map(|text| opened(text)).collect();
    assert_eq!(opened, [("invoices@example.com".to_owned(), blank(&number))]);
    harness.kill_runner().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_worker_that_dies_over_a_paper_says_the_same_message_again_at_most(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let server = Server::start(Mood::Well).await;
    let (mut harness, _) = harness(db, &server).await;
    let mut known = 0;
    for (letters, (mode, times)) in (1..).zip([(Mode::KillBefore, 1), (Mode::KillAfter, 2)]) {
        harness.faults.clear();
        harness.faults.arm("send_mail", mode);
        let organisation_id = harness.organisation();
        billed(&harness, organisation_id, "invoices@example.com").await;
        let number = invoice(&harness, organisation_id, 5_000_000_000).await;
        handed_over(&mut harness, letters).await;
        assert_eq!(harness.faults.hits("send_mail"), 1, "{mode:?}: the fault bit");
        let texts = server.texts.lock().unwrap()[known..].to_vec();
        known += times;
        assert_eq!(texts.len(), times, "{mode:?}");
        assert_eq!(opened(&texts[0]).1, blank(&number));
        let undated = |text: &String| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.starts_with("Date: "));
            lines.map(str::to_owned).collect()
        };
        assert!(texts.iter().all(|text| undated(text) == undated(&texts[0])), "{texts:?}");
    }
    harness.kill_runner().await;
}
