//! Reports of our own faults, to whoever speaks Sentry's protocol. Off unless an address is set.
//!
//! A report is made of what is named here, and of nothing else: what went wrong, where in the code's own terms, and the request's id.
//! No header, cookie, body, query, address or name is in it, and what a message may have quoted of them is taken out.
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use cairn_commands::ports::Clock as _;
use cairn_tasks::{Told, named};
use metrics::counter;
use reqwest::{Client, header};
use sentry_types::protocol::v7::{Envelope, Event, Exception, Level};
use sentry_types::{Auth, Dsn};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::system::SystemClock;

/// Reports that wait to be sent; what comes then is dropped.
const QUEUE: usize = 100;
/// How long one may take, and all that are left at the end.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most that is told of a message.
const MESSAGE_MAX: usize = 500;

/// Where reports go.
#[derive(Clone, PartialEq, Eq)]
pub struct ReportAddress(Dsn);

impl FromStr for ReportAddress {
    type Err = sentry_types::ParseDsnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Its key is a secret.
impl fmt::Debug for ReportAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReportAddress({})", self.0.host())
    }
}

/// A fault of ours: while a request was answered, or in work that nobody waits for.
#[derive(Debug, Clone, Default)]
pub struct Fault {
    /// `panic`, or the code of the problem.
    pub kind: &'static str,
    /// What was said.
    pub message: String,
    /// Method and template of the route, or the name of the work.
    pub route: Option<String>,
    /// File and line of a panic.
    pub place: Option<String>,
    /// Names the request.
    pub request_id: Option<String>,
    /// Its trace.
    pub trace_id: Option<String>,
}

/// Reports of one server; clones share one queue. By default nothing is told to anybody.
#[derive(Debug, Clone, Default)]
pub struct Reports(Option<Arc<Desk>>);

#[derive(Debug)]
struct Desk {
    queue: mpsc::Sender<Fault>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Reports {
    /// To an address, or to nobody. They are counted from their first day.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn begin(address: Option<&ReportAddress>) -> Result<Self, reqwest::Error> {
        for outcome in ["sent", "failed", "dropped"] {
            counter!("cairn_error_reports_total", "outcome" => outcome).increment(0);
        }
        Ok(address.map(Self::to).transpose()?.unwrap_or_default())
    }

    /// To an address.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    fn to(address: &ReportAddress) -> Result<Self, reqwest::Error> {
        let client =
            Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        let courier = Courier { client: client.build()?, to: address.0.clone() };
        let (queue, faults) = mpsc::channel(QUEUE);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(named("reports", courier.run(faults, stop.clone())));
        tasks.close();
        Ok(Self(Some(Arc::new(Desk { queue, tasks, stop }))))
    }

    /// Tells of panics, wherever they are heard. What `known` knows of where they happen is told as well; else the work's name is.
    #[must_use]
    pub fn of_panics(&self, known: Fault) -> Told {
        let reports = self.clone();
        Arc::new(move |panic| {
            let (known, work) = (known.clone(), || Some(panic.task.to_owned()));
            reports.tell(Fault {
                kind: "panic",
                message: panic.message.clone(),
                place: panic.place.clone(),
                route: known.route.or_else(work),
                ..known
            });
        })
    }

    /// Tells of a fault, without waiting.
    pub fn tell(&self, fault: Fault) {
        let Some(desk) = &self.0 else { return };
        if desk.queue.try_send(fault).is_err() {
            counter!("cairn_error_reports_total", "outcome" => "dropped").increment(1);
        }
    }

    /// Sends what waits, for a limited time.
    pub async fn close(&self) {
        let Some(desk) = &self.0 else { return };
        desk.stop.cancel();
        if tokio::time::timeout(PATIENCE, desk.tasks.wait()).await.is_err() {
            tracing::warn!("reports of faults are left unsent");
        }
    }
}

/// Carries reports, one after the other.
struct Courier {
    client: Client,
    to: Dsn,
}

impl Courier {
    async fn run(self, mut faults: mpsc::Receiver<Fault>, stop: CancellationToken) {
        loop {
            let fault = tokio::select! {
                biased;
                fault = faults.recv() => fault,
                () = stop.cancelled() => None,
            };
            let Some(fault) = fault else { return };
            let outcome = match self.send(fault).await {
                Ok(()) => "sent",
                Err(error) => {
                    tracing::warn!(error, "a fault was not reported");
                    "failed"
                }
            };
            counter!("cairn_error_reports_total", "outcome" => outcome).increment(1);
        }
    }

    async fn send(&self, fault: Fault) -> Result<(), String> {
        let mut body = vec![];
        let envelope = Envelope::from(event(fault));
        envelope.to_writer(&mut body).map_err(|error| error.to_string())?;
        let auth: Auth = self.to.to_auth(Some(concat!("cairn/", env!("CARGO_PKG_VERSION"))));
        let request = self
            .client
            .post(self.to.envelope_api_url().as_str())
            .header("x-sentry-auth", auth.to_string())
            .header(header::CONTENT_TYPE, "application/x-sentry-envelope")
            .body(body);
        let answer = request.send().await.map_err(|error| error.without_url().to_string())?;
        let status = answer.status();
        status.is_success().then_some(()).ok_or_else(|| format!("it answered {status}"))
    }
}

/// All that is told.
fn event(fault: Fault) -> Event<'static> {
    let Fault { kind, message, route, place, request_id, trace_id } = fault;
    let exception =
        Exception { ty: kind.to_owned(), value: Some(scrubbed(&message)), ..Exception::default() };
    let tags = [("place", place), ("request_id", request_id), ("trace_id", trace_id)];
    let tags = tags.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let micros = SystemClock.now().as_micros().unsigned_abs();
    Event {
        level: if kind == "panic" { Level::Fatal } else { Level::Error },
        timestamp: std::time::UNIX_EPOCH + Duration::from_micros(micros),
        transaction: route,
        release: Some(concat!("cairn@", env!("CARGO_PKG_VERSION")).into()),
        exception: vec![exception].into(),
        tags: tags.collect(),
        ..Event::default()
    }
}

/// A message without what it may have quoted: addresses of mail and machines, keys and tokens, and whatever stands in quotes.
fn scrubbed(message: &str) -> String {
    let quoted = message.split(['"', '\'', '`']).enumerate();
    let plain: Vec<_> = quoted.map(|(at, part)| if at % 2 == 0 { part } else { "…" }).collect();
    let words = plain.join("'");
    let words = words.split_whitespace().map(|word| if is_telling(word) { "…" } else { word });
    let mut text = words.collect::<Vec<_>>().join(" ");
    if let Some((at, _)) = text.char_indices().nth(MESSAGE_MAX) {
        text.truncate(at);
    }
    text
}

/// Whether a word may tell who somebody is, or open something.
fn is_telling(word: &str) -> bool {
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
    let long = bare.chars().filter(|c| c.is_ascii_alphanumeric()).count() >= 32;
    let is_machine = bare.parse::<IpAddr>().is_ok() || bare.parse::<SocketAddr>().is_ok();
    let in_brackets = word.trim_start_matches('[').split(']').next().unwrap_or_default();
    let is_secret = ["whsec_", "sk_", "pm_", "cairn_live_", "cairn_test_", "Bearer"]
        .iter()
        .any(|prefix| bare.starts_with(prefix));
    let pair =
        bare.split_once('=').is_some_and(|(_, value)| !value.is_empty() && is_telling(value));
    word.contains('@')
        || word.contains("://")
        || is_machine
        || in_brackets.parse::<IpAddr>().is_ok()
        || is_secret
        || pair
        || long
}

#[cfg(test)]
mod tests {
    use super::scrubbed;

    #[test]
    fn what_a_message_quotes_is_not_told_and_what_went_wrong_is() {
        let cases = [
            ("the column \"ada@example.org\" is gone", "the column '…' is gone"),
            ("no route to 192.0.2.7:5432, again", "no route to … again"),
            ("[2001:db8::7]:22 hung up", "… hung up"),
            ("mail for ada@example.org, bounced", "mail for … bounced"),
            ("key cairn_live_abc refused", "key … refused"),
            ("peer=10.0.0.1 port=22", "… port=22"),
            ("at postgres://u:p@db/cairn", "at …"),
            ("token 0123456789abcdef0123456789abcdef0", "token …"),
            ("index out of bounds: the len is 3", "index out of bounds: the len is 3"),
            ("an open 'quote runs to the end", "an open '…"),
        ];
        for (said, told) in cases {
            assert_eq!(scrubbed(said), told, "{said}");
        }
        assert_eq!(scrubbed(&"é ".repeat(900)).chars().count(), 500);
    }
}
