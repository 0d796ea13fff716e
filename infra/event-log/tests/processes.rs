//! Several processes append to one log: nothing is lost, nothing skipped, nothing out of order, even if one is killed.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]
mod common;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cairn_event_log::{Appended, EventLog, LogError};
use common::{done, event, open, request};
use sqlx::{ConnectOptions, PgPool};

const CALLERS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts this test binary again as a writer of its own: `commands` commands, or for ever.
fn start_writer(pool: &PgPool, name: &str, commands: usize) -> Child {
    let url = pool.connect_options().to_url_lossy();
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_process_that_writes", "--ignored", "--nocapture"])
        .env("CAIRN_TEST_WRITER", format!("{url} {name} {commands}"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the other tests as a process of its own"]
#[allow(clippy::disallowed_methods, reason = "how a test binary tells its child what to do")]
async fn a_process_that_writes() {
    let Ok(task) = std::env::var("CAIRN_TEST_WRITER") else { return };
    let task: Vec<_> = task.split(' ').map(str::to_owned).collect();
    let (name, commands): (_, usize) = (task[1].clone(), task[2].parse().unwrap());
    let log = EventLog::connect(task[0].parse().unwrap(), 6).await.unwrap();
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let (log, name) = (log.clone(), name.clone());
        callers.spawn(async move {
            for number in 0..commands / CALLERS {
                write_one(&log, &format!("{name}-{caller}"), number).await;
            }
        });
    }
    callers.join_all().await;
    log.close().await;
}

/// Mostly on a stream of its own, now and then on one that all fight for.
async fn write_one(log: &EventLog, stream: &str, number: usize) {
    let mut own = request(stream, i64::try_from(number).unwrap(), vec![event("own")]);
    own.command_id = format!("{stream}-{number}");
    println!("asked {}", own.command_id);
    let (position, _) = done(&log.append(own.clone()).await.unwrap());
    println!("answered {} {position}", own.command_id);
    if number.is_multiple_of(8) {
        let head = log.load(common::TYPE, "shared", 0).await.unwrap().len();
        let mut shared =
            request("shared", i64::try_from(head).unwrap(), vec![event("1"), event("2")]);
        shared.command_id = format!("{stream}-{number}-shared");
        println!("asked {}", shared.command_id);
        match log.append(shared.clone()).await.unwrap() {
            Appended::Done { position, .. } => {
                println!("answered {} {position}", shared.command_id)
            }
            Appended::Stale => println!("stale {}", shared.command_id),
            other => panic!("{other:?}"),
        }
    }
}

/// What a writer said, line by line: commands asked, positions answered, and how many were stale.
#[derive(Debug, Default)]
struct Said {
    asked: Vec<String>,
    answered: HashMap<String, i64>,
    stale: usize,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            // The harness writes its own line in front of the first.
            [.., "asked", id] => self.asked.push(id.to_owned()),
            [.., "answered", id, position] => {
                self.answered.insert(id.to_owned(), position.parse().unwrap());
            }
            ["stale", _] => self.stale += 1,
            _ => {}
        }
    }
}

fn listen(writer: &mut Child) -> Said {
    let mut said = Said::default();
    for line in BufReader::new(writer.stdout.take().unwrap()).lines() {
        said.hear(&line.unwrap());
    }
    said
}

/// Follows the log as a reader does until it has seen `until` events, and fails at the first gap.
async fn tail(log: &EventLog, until: impl Fn() -> Option<i64>) -> Vec<(i64, String)> {
    let started = Instant::now();
    let mut seen = vec![];
    loop {
        let checkpoint = i64::try_from(seen.len()).unwrap();
        if until().is_some_and(|head| checkpoint >= head) {
            return seen;
        }
        assert!(started.elapsed() < PATIENCE, "stuck at {checkpoint}");
        let read = log.read(checkpoint, 100).await.unwrap();
        if read.is_empty() {
            tokio::task::yield_now().await;
        }
        for (event, expected) in read.into_iter().zip(checkpoint + 1..) {
            assert_eq!(event.position, expected, "a gap or a step back");
            seen.push((event.position, event.metadata.command_id.clone()));
        }
    }
}

fn assert_answers_stand(said: &Said, seen: &[(i64, String)]) {
    let written: HashMap<_, _> = seen.iter().map(|(position, id)| (id, *position)).collect();
    for (command_id, position) in &said.answered {
        assert_eq!(written.get(command_id), Some(position), "{command_id} was acknowledged");
    }
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn two_processes_append_without_gaps_reorderings_or_losses(pool: PgPool) {
    let log = open(&pool).await;
    let writers = ["a", "b"].map(|name| {
        let mut writer = start_writer(&pool, name, 1_600);
        std::thread::spawn(move || {
            let said = listen(&mut writer);
            assert!(writer.wait().unwrap().success());
            said
        })
    });
    let (finished, head) = tokio::sync::watch::channel(None);
    let reader = tail(&log, || *head.borrow());
    let ender = async {
        let said = tokio::task::spawn_blocking(|| writers.map(|writer| writer.join().unwrap()));
        let said = said.await.unwrap();
        finished.send_replace(Some(log.head().await.unwrap()));
        said
    };
    let (seen, said) = tokio::join!(reader, ender);
    for said in &said {
        assert!(said.answered.len() >= 1_600, "all own commands were answered");
        assert_answers_stand(said, &seen);
    }
    let own = seen.iter().filter(|(_, id)| !id.ends_with("-shared")).count();
    assert_eq!(own, 3_200);
    assert!(said.iter().any(|said| said.stale > 0), "they did fight for a stream");
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn killing_a_writer_loses_no_acknowledged_command(pool: PgPool) {
    let log = open(&pool).await;
    let mut writer = start_writer(&pool, "w", usize::MAX);
    let (said, status) = tokio::task::spawn_blocking(move || {
        let mut said = Said::default();
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        while said.answered.len() < 500 {
            said.hear(&lines.next().unwrap().unwrap());
        }
        // SIGKILL.
        writer.kill().unwrap();
        lines.map_while(Result::ok).for_each(|line| said.hear(&line));
        (said, writer.wait().unwrap())
    })
    .await
    .unwrap();
    assert_eq!(status.signal(), Some(9));
    let open: Vec<_> = said.asked.iter().filter(|id| !said.answered.contains_key(*id)).collect();
    assert!(!open.is_empty(), "it was killed with commands under way");

    // A statement that was sent still ends in the server; the next append waits for it.
    log.append(request("after", 0, vec![event("after")])).await.unwrap();
    let head = log.head().await.unwrap();
    let seen = tail(&log, || Some(head)).await;
    assert_answers_stand(&said, &seen);
    for (command_id, position) in said.answered.iter().take(50) {
        let mut again = request("whatever", 0, vec![]);
        again.command_id.clone_from(command_id);
        match log.append(again).await {
            Ok(Appended::Repeated(stored)) => assert_eq!(stored.position, *position),
            other => panic!("{command_id}: {other:?}"),
        }
    }
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_session_ended_by_the_server_is_replaced(pool: PgPool) {
    let log = open(&pool).await;
    for round in 0..5 {
        log.append(request("a", round, vec![event("1")])).await.unwrap();
        let ended: i64 = sqlx::query_scalar(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'cairn'",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        assert!(ended > 0, "the fault bit");
        let mut next = request("b", round, vec![event("2")]);
        next.command_id = format!("next-{round}");
        let answer = loop {
            match log.append(next.clone()).await {
                Err(LogError::InDoubt(_) | LogError::Unavailable(_)) => {}
                settled => break settled.unwrap(),
            }
        };
        assert!(matches!(answer, Appended::Done { .. } | Appended::Repeated(_)), "{answer:?}");
    }
    assert_eq!(log.head().await.unwrap(), 10);
    log.close().await;
}
