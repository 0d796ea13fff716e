//! A mail server on this machine: mailin's side of the protocol, over TCP and TLS.
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use mailin::response::{AUTH_OK, INVALID_CREDENTIALS, OK};
use mailin::{Action, AuthMechanism, Handler, Response, Session, SessionBuilder};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub const PASSWORD: &str = "p@ss";

/// What a server does.
#[derive(Clone, Default)]
pub struct Manners {
    pub starttls: bool,
    pub wants_login: bool,
    /// Hangs up instead of answering to the end of a text, so often.
    pub hang_ups: Arc<Mutex<u32>>,
    /// Answers to the recipients to come; after them everybody is welcome.
    pub answers: Arc<Mutex<VecDeque<(u16, &'static str)>>>,
}

/// What arrived, and what was said.
#[derive(Clone, Default)]
pub struct Arrived {
    pub texts: Arc<Mutex<Vec<String>>>,
    pub recipients: Arc<Mutex<Vec<String>>>,
    pub logins: Arc<Mutex<u32>>,
}

pub struct MailServer {
    pub port: u16,
    pub arrived: Arrived,
    /// The certificate that vouches for it, in PEM.
    pub ca: String,
    _serving: JoinSet<()>,
}

impl MailServer {
    pub async fn start(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (arrived, mut serving) = (Arrived::default(), JoinSet::new());
        let (tls, ca) = tls();
        let known = arrived.clone();
        serving.spawn(async move {
            let mut sessions = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let guest = Guest::new(&manners, &known);
                let tls = tls.clone();
                sessions.spawn(async move { drop(serve(stream, guest, tls).await) });
            }
        });
        Self { port, arrived, ca, _serving: serving }
    }

    pub fn texts(&self) -> Vec<String> {
        self.arrived.texts.lock().unwrap().clone()
    }
}

fn tls() -> (TlsAcceptor, String) {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), cert.pem())
}

struct Guest {
    manners: Manners,
    arrived: Arrived,
    text: Vec<u8>,
}

impl Guest {
    fn new(manners: &Manners, arrived: &Arrived) -> Self {
        Self { manners: manners.clone(), arrived: arrived.clone(), text: vec![] }
    }
}

impl Handler for Guest {
    fn rcpt(&mut self, to: &str) -> Response {
        self.arrived.recipients.lock().unwrap().push(to.to_owned());
        let answer = self.manners.answers.lock().unwrap().pop_front();
        answer.map_or(OK, |(code, says)| Response::custom(code, says.to_owned()))
    }

    fn data(&mut self, line: &[u8]) -> io::Result<()> {
        self.text.extend_from_slice(line);
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        let text = std::mem::take(&mut self.text);
        self.arrived.texts.lock().unwrap().push(String::from_utf8(text).unwrap());
        let mut hang_ups = self.manners.hang_ups.lock().unwrap();
        if *hang_ups > 0 {
            *hang_ups -= 1;
            return Response::custom(0, "hang up".to_owned());
        }
        OK
    }

    fn auth_plain(&mut self, _: &str, name: &str, password: &str) -> Response {
        *self.arrived.logins.lock().unwrap() += 1;
        if (name, password) == ("cairn", PASSWORD) { AUTH_OK } else { INVALID_CREDENTIALS }
    }
}

async fn serve(mut stream: TcpStream, guest: Guest, tls: TlsAcceptor) -> io::Result<()> {
    let mut builder = SessionBuilder::new("mail.example.org");
    if guest.manners.starttls {
        builder.enable_start_tls();
    }
    if guest.manners.wants_login {
        builder.enable_auth(AuthMechanism::Plain);
    }
    let mut session = builder.build(IpAddr::from([127, 0, 0, 1]), guest);
    stream.write_all(&session.greeting().buffer()?).await?;
    if talk(&mut stream, &mut session).await? == Action::UpgradeTls {
        let mut stream = tls.accept(stream).await?;
        session.tls_active();
        talk(&mut stream, &mut session).await?;
    }
    Ok(())
}

/// Until one side leaves, or TLS begins.
async fn talk<S>(stream: &mut S, session: &mut Session<Guest>) -> io::Result<Action>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = vec![];
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(Action::Close);
        }
        let response = session.process(&line);
        if response.code == 0 && response.action != Action::NoReply {
            return Ok(Action::Close);
        }
        stream.write_all(&response.buffer()?).await?;
        if matches!(response.action, Action::Close | Action::UpgradeTls) {
            return Ok(response.action);
        }
    }
}
