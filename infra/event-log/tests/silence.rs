//! The database falls silent: connections stay open and nobody answers, as when a machine loses its power or its network.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cairn_cluster::{Cluster, ClusterConfig};
use cairn_event_log::{Appended, EventLog, LogError, MIGRATOR};
use common::{event, request};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Nothing real takes so long; it only ends a test that would never end.
const PATIENCE: Duration = Duration::from_secs(120);
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(1);
/// On an armed line, whoever sends this gets no answer any more, and nobody else does.
const FATAL: &str = "the-last-words";

/// Carries bytes between the log and the database. Once silent, what was connected stays so for ever, and what connects waits.
#[derive(Debug, Clone)]
struct Line {
    /// How often it fell silent, and whether it is silent now.
    state: Arc<watch::Sender<(u32, bool)>>,
    armed: Arc<AtomicBool>,
}

impl Line {
    async fn open(socket: PathBuf) -> (Self, u16, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let line = Self { state: Arc::new(watch::channel((0, false)).0), armed: Arc::default() };
        let (ours, mut tasks) = (line.clone(), JoinSet::new());
        tasks.spawn(async move {
            let mut carried = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (line, socket) = (ours.clone(), socket.clone());
                carried.spawn(async move { line.carry(client, &socket).await });
            }
        });
        (line, port, tasks)
    }

    async fn carry(self, mut client: TcpStream, socket: &Path) {
        let mut state = self.state.subscribe();
        let (born, _) = *state.wait_for(|(_, silent)| !silent).await.unwrap();
        let Ok(mut server) = UnixStream::connect(socket).await else { return };
        let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            tokio::select! {
                biased;
                () = async { drop(state.wait_for(|(times, _)| *times > born).await) } => break,
                read = client.read(&mut asked) => {
                    let Ok(1..) = read else { return };
                    let said = &asked[..read.unwrap()];
                    server.write_all(said).await.unwrap();
                    let last = said.windows(FATAL.len()).any(|words| words == FATAL.as_bytes());
                    if last && self.armed.swap(false, Ordering::SeqCst) {
                        self.state.send_modify(|(times, silent)| (*times, *silent) = (*times + 1, true));
                    }
                }
                read = server.read(&mut answered) => {
                    let Ok(1..) = read else { return };
                    if client.write_all(&answered[..read.unwrap()]).await.is_err() {
                        return;
                    }
                }
            }
        }
        // Half open: the server works on what it got, and neither side hears of the other again.
        std::future::pending::<()>().await;
    }

    fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    fn is_silent(&self) -> bool {
        self.state.borrow().1
    }

    fn speak(&self) {
        self.state.send_modify(|(_, silent)| *silent = false);
    }
}

/// A cluster with an empty log, reached over a line.
async fn start() -> (tempfile::TempDir, Cluster, Line, EventLog, JoinSet<()>) {
    let directory = tempfile::tempdir().unwrap();
    let (durable, settings) = (false, vec![]);
    let config = ClusterConfig { directory: directory.path().to_path_buf(), durable, settings };
    let made = tokio::task::spawn_blocking(|| {
        let cluster = Cluster::start(config).unwrap();
        cluster.create_database("log").unwrap();
        cluster
    });
    let cluster = made.await.unwrap();
    let direct: PgConnectOptions = cluster.url("log").parse().unwrap();
    let mut connection = direct.connect().await.unwrap();
    MIGRATOR.run(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let (line, port, tasks) = Line::open(cluster.socket_directory().join(".s.PGSQL.5432")).await;
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username("postgres")
        .database("log")
        .ssl_mode(PgSslMode::Disable);
    let log = EventLog::connect_within(options, 4, STATEMENT_TIMEOUT).await.unwrap();
    (directory, cluster, line, log, tasks)
}

async fn end(cluster: Cluster, log: EventLog) {
    tokio::time::timeout(PATIENCE, log.close()).await.unwrap();
    tokio::task::spawn_blocking(move || cluster.remove()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_is_never_answered_is_in_doubt_and_a_repeat_finds_out() {
    let (_directory, cluster, line, log, _tasks) = start().await;
    log.append(request("a", 0, vec![event("heard")])).await.unwrap();
    line.arm();
    let lost = request("a", 1, vec![event(FATAL)]);
    let answer = tokio::time::timeout(PATIENCE, log.append(lost.clone())).await.unwrap();
    assert!(line.is_silent(), "the fault bit");
    assert!(matches!(answer, Err(LogError::InDoubt(_))), "{answer:?}");
    let refused = request("b", 0, vec![event("not sent")]);
    for _ in 0..3 {
        let answer = tokio::time::timeout(PATIENCE, log.append(refused.clone())).await.unwrap();
        assert!(matches!(answer, Err(LogError::Unavailable(_))), "{answer:?}");
    }

    line.speak();
    let answer = tokio::time::timeout(PATIENCE, log.append(lost)).await.unwrap();
    assert!(matches!(answer, Ok(Appended::Repeated(_))), "it had arrived: {answer:?}");
    let answer = tokio::time::timeout(PATIENCE, log.append(refused)).await.unwrap();
    assert!(matches!(answer, Ok(Appended::Done { position: 3, .. })), "{answer:?}");
    end(cluster, log).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_that_are_never_answered_are_unavailable_and_later_ones_are_answered() {
    let (_directory, cluster, line, log, _tasks) = start().await;
    log.append(request("a", 0, vec![event("heard")])).await.unwrap();
    // The loader's own connection, and those of the pool.
    line.arm();
    let load = log.load("thing", FATAL, 0);
    let answer = tokio::time::timeout(PATIENCE, load).await.unwrap();
    assert!(line.is_silent(), "the fault bit");
    assert!(matches!(answer, Err(LogError::Unavailable(_))), "{answer:?}");
    for _ in 0..3 {
        let read = tokio::time::timeout(PATIENCE, log.read(0, 10)).await.unwrap();
        assert!(matches!(read, Err(LogError::Unavailable(_))), "{read:?}");
        let load = tokio::time::timeout(PATIENCE, log.load("thing", "a", 0)).await.unwrap();
        assert!(matches!(load, Err(LogError::Unavailable(_))), "{load:?}");
    }

    line.speak();
    let load = tokio::time::timeout(PATIENCE, log.load("thing", "a", 0)).await.unwrap();
    assert_eq!(load.unwrap().len(), 1);
    assert_eq!(tokio::time::timeout(PATIENCE, log.head()).await.unwrap(), Ok(1));
    // A question over a connection of the pool is lost alike.
    line.arm();
    let outcome = tokio::time::timeout(PATIENCE, log.outcome(FATAL)).await.unwrap();
    assert!(line.is_silent(), "the fault bit");
    assert!(matches!(outcome, Err(LogError::Unavailable(_))), "{outcome:?}");
    line.speak();
    assert_eq!(tokio::time::timeout(PATIENCE, log.outcome("none")).await.unwrap(), Ok(None));
    end(cluster, log).await;
}
