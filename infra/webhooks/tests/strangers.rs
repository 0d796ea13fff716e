//! Whom a server calls, and how much it lets itself be told: against servers that mean no good.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cairn_commands::ports::{WebhookCall, WebhookPort as _};
use cairn_core::Timestamp;
use cairn_webhooks::{Lookup, Strangers, WebhookConfig, WebhookSender};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A name server that says one thing after the other.
#[derive(Default)]
struct Told {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Told {
    fn of(answers: &[&[&str]]) -> Arc<Self> {
        let read = |one: &&[&str]| one.iter().map(|it| it.parse().unwrap()).collect();
        let answers = Mutex::new(answers.iter().map(read).collect());
        Arc::new(Self { answers, asked: AtomicUsize::new(0) })
    }
}

#[async_trait]
impl Lookup for Told {
    async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let next = self.answers.lock().unwrap().pop_front();
        next.ok_or_else(|| io::Error::other("asked once too often"))
    }
}

fn call(url: &str) -> WebhookCall {
    WebhookCall {
        id: "00000000000000000007".to_owned(),
        url: url.to_owned(),
        at: Timestamp::from_secs(1_790_000_000),
        secrets: vec!["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()],
        body: "{}".to_owned(),
    }
}

fn config(strangers: Strangers) -> WebhookConfig {
    let connect = Duration::from_millis(500);
    WebhookConfig { connect, timeout: Duration::from_secs(2), ..WebhookConfig::calling(strangers) }
}

/// A server that does the same with every connection. Answers its address and how many came.
async fn server<F, R>(serve: F) -> (String, Arc<AtomicUsize>, JoinSet<()>)
where
    F: Fn(TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (came, mut tasks) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    let count = Arc::clone(&came);
    tasks.spawn(async move {
        let mut serving = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            serving.spawn(serve(stream));
        }
    });
    (url, came, tasks)
}

async fn head(stream: &mut TcpStream) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 1024]);
    while !text.contains("\r\n\r\n") {
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            break;
        }
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    text
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_connected_to() {
    let inside: [&[&str]; 6] = [
        &["127.0.0.1"],
        &["::1"],
        &["::ffff:127.0.0.1"],
        &["169.254.169.254"],
        &["100.64.0.1"],
        &["8.8.8.8", "10.0.0.1"],
    ];
    for addresses in inside {
        let lookup = Told::of(&[addresses]);
        let config = config(Strangers::Public);
        let sender = WebhookSender::looking_up(&config, Arc::clone(&lookup) as _).unwrap();
        let refused = sender.post(call("https://hooks.example.org/")).await.unwrap_err();
        assert_eq!(refused.code, "webhook_address_refused", "{addresses:?}");
        assert_eq!(lookup.asked.load(Ordering::SeqCst), 1, "the name was looked up");
        assert!(!refused.message.contains(addresses[0]), "nobody learns what is inside");
    }
}

#[tokio::test]
async fn a_name_that_turns_inward_later_gains_nothing() {
    let lookup = Told::of(&[&["127.0.0.1"], &["10.0.0.1"]]);
    let config = config(Strangers::PublicAndLoopback);
    let sender = WebhookSender::looking_up(&config, Arc::clone(&lookup) as _).unwrap();
    let url = "https://hooks.example.org:8443/";
    // Where loopback is let through, a connection is tried: so it is the address that decides.
    let tried = sender.post(call(url)).await.unwrap_err();
    assert_ne!(tried.code, "webhook_address_refused", "{tried}");
    let refused = sender.post(call(url)).await.unwrap_err();
    assert_eq!(refused.code, "webhook_address_refused");
    assert_eq!(lookup.asked.load(Ordering::SeqCst), 2, "each attempt looks the name up once");
}

#[tokio::test]
async fn an_address_inside_is_not_called_however_it_is_written() {
    let (url, came, _tasks) = server(|_| async {}).await;
    let port = url.rsplit(':').next().unwrap().to_owned();
    let sender = WebhookSender::try_new(&config(Strangers::Public)).unwrap();
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "localhost"] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:{port}");
            let refused = sender.post(call(&url)).await.unwrap_err();
            assert_eq!(refused.code, "webhook_url_refused", "{url}");
        }
    }
    assert_eq!(came.load(Ordering::SeqCst), 0);
    let open = WebhookSender::try_new(&config(Strangers::PublicAndLoopback)).unwrap();
    let _ = open.post(call(&url)).await;
    assert_eq!(came.load(Ordering::SeqCst), 1, "the server was there to be called");
}

#[tokio::test]
async fn nobody_is_followed_elsewhere_and_connections_are_not_kept() {
    let (url, came, _tasks) = server(|mut stream| async move {
        let asked = head(&mut stream).await;
        assert!(asked.to_lowercase().contains("webhook-signature: v1,"), "{asked}");
        let answer = "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\nretry-after: 90\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let _ = head(&mut stream).await;
    })
    .await;
    let sender = WebhookSender::try_new(&config(Strangers::PublicAndLoopback)).unwrap();
    for attempts in 1..=2 {
        let answer = sender.post(call(&url)).await.unwrap();
        assert_eq!((answer.status, answer.retry_after), (302, Some(Duration::from_secs(90))));
        assert_eq!(came.load(Ordering::SeqCst), attempts);
    }
}

#[tokio::test]
async fn of_an_endless_answer_the_beginning_is_read() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let (url, ..) = &server(move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            head(&mut stream).await;
            let begin = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
            stream.write_all(begin.as_bytes()).await.unwrap();
            while stream.write_all(&[b'a'; 4096]).await.is_ok() {
                count.fetch_add(4096, Ordering::SeqCst);
            }
        }
    })
    .await;
    let sender = WebhookSender::try_new(&config(Strangers::PublicAndLoopback)).unwrap();
    let answer = sender.post(call(url)).await.unwrap();
    assert_eq!((answer.status, answer.begins), (200, "a".repeat(512)));
    assert!(sent.load(Ordering::SeqCst) < 1_000_000_000, "it was hung up on");
}

#[tokio::test]
async fn who_never_answers_is_not_waited_for() {
    let (url, came, _tasks) = server(|mut stream| async move {
        head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let config = WebhookConfig {
        timeout: Duration::from_millis(200),
        ..config(Strangers::PublicAndLoopback)
    };
    let sender = WebhookSender::try_new(&config).unwrap();
    let silent = sender.post(call(&url)).await.unwrap_err();
    assert_eq!((&*silent.code, came.load(Ordering::SeqCst)), ("webhook_timeout", 1));
}
