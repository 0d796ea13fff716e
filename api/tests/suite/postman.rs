//! A mail server on this machine, as far as one message needs it, and what it took.
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cairn_mail::{MailConfig, Mailer, Sender};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::PATIENCE;

/// A message with a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    pub id: String,
    pub to: String,
    pub subject: String,
    /// As it was sent: a text that needs no encoding has none.
    pub text: String,
    pub file_name: String,
    pub file: Vec<u8>,
}

impl Letter {
    /// Reads a message by the rules of MIME, as far as ours go.
    pub fn read(message: &str) -> Self {
        let (head, body) = message.split_once("\r\n\r\n").unwrap();
        let head = head.replace("\r\n ", " ");
        let boundary = between(&head, "boundary=\"", "\"").unwrap();
        let parts: Vec<_> = body.split(&format!("--{boundary}")).collect();
        let [_, text, file, end] = &parts[..] else { panic!("a text and a file: {message}") };
        assert_eq!(end.trim_end(), "--");
        let (file_head, file) = file.split_once("\r\n\r\n").unwrap();
        assert!(file_head.contains("Content-Type: application/pdf"), "{file_head}");
        assert!(file_head.contains("Content-Transfer-Encoding: base64"), "{file_head}");
        let field = |name| between(&head, name, "\r\n").unwrap();
        Self {
            id: field("Message-ID: "),
            to: field("To: "),
            subject: field("Subject: "),
            text: text.split_once("\r\n\r\n").unwrap().1.to_owned(),
            file_name: between(file_head, "filename=\"", "\"").unwrap(),
            file: STANDARD.decode(file.split_whitespace().collect::<String>()).unwrap(),
        }
    }
}

fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split(after).next().unwrap_or(rest).to_owned())
}

pub struct Postman {
    port: u16,
    took: Arc<Mutex<Vec<String>>>,
    /// How many it has put off.
    put_off: Arc<Mutex<u32>>,
    _serving: JoinSet<()>,
}

impl Postman {
    /// Puts so many off, and takes the others.
    pub async fn putting_off(count: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (took, put_off) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<u32>>::default());
        let (kept, counted, mut serving) =
            (Arc::clone(&took), Arc::clone(&put_off), JoinSet::new());
        serving.spawn(async move {
            let mut guests = JoinSet::new();
            while let Ok((guest, _)) = listener.accept().await {
                let (kept, counted) = (Arc::clone(&kept), Arc::clone(&counted));
                guests.spawn(async move { drop(talk(guest, &kept, (&counted, count)).await) });
            }
        });
        Self { port, took, put_off, _serving: serving }
    }

    pub fn mailer(&self) -> Arc<Mailer> {
        let place = format!("smtp://127.0.0.1:{}", self.port).parse().unwrap();
        let config = MailConfig { place, from: Sender::default(), ca: None };
        Arc::new(Mailer::try_new(config).unwrap())
    }

    pub fn put_off(&self) -> u32 {
        *self.put_off.lock().unwrap()
    }

    /// What has come, once it is so many; sorted by the file's name.
    pub async fn have(&self, count: usize) -> Vec<Letter> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let took = self.took.lock().unwrap().clone();
            if took.len() >= count {
                let mut letters: Vec<_> = took.iter().map(|text| Letter::read(text)).collect();
                letters.sort_by(|one, other| one.file_name.cmp(&other.file_name));
                return letters;
            }
            assert!(Instant::now() < deadline, "only these came: {took:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn talk(
    guest: TcpStream,
    took: &Mutex<Vec<String>>,
    (put_off, most): (&Mutex<u32>, u32),
) -> std::io::Result<()> {
    let mut guest = BufReader::new(guest);
    guest.write_all(b"220 mail.example.org\r\n").await?;
    let (mut line, mut text) = (String::new(), None::<String>);
    while guest.read_line(&mut line).await? > 0 {
        let said = std::mem::take(&mut line);
        let answer: &[u8] = match (said.trim_end(), &mut text) {
            (".", Some(whole)) => {
                took.lock().unwrap().push(std::mem::take(whole));
                text = None;
                b"250 taken\r\n"
            }
            (_, Some(whole)) => {
                whole.push_str(said.strip_prefix('.').unwrap_or(&said));
                continue;
            }
            ("DATA", None) => {
                text = Some(String::new());
                b"354 go on\r\n"
            }
            ("QUIT", None) => return guest.write_all(b"221 bye\r\n").await,
            (to, None) if to.starts_with("RCPT") && is_put_off(put_off, most) => b"451 later\r\n",
            (_, None) => b"250 mail.example.org\r\n",
        };
        guest.write_all(answer).await?;
    }
    Ok(())
}

fn is_put_off(put_off: &Mutex<u32>, most: u32) -> bool {
    let mut count = put_off.lock().unwrap();
    let more = *count < most;
    *count += u32::from(more);
    more
}
