//! A panic is seen, counted and told, and the work goes on.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cairn_tasks::{Panic, Told, caught, kept_up, named, telling, watch};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// One recorder for the process, before anything is counted.
fn figures() -> &'static PrometheusHandle {
    static FIGURES: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    FIGURES.get_or_init(|| {
        let handle = PrometheusBuilder::new().install_recorder().unwrap();
        watch();
        handle
    })
}

fn counted(task: &str) -> Option<String> {
    let line = format!("cairn_panics_total{{where=\"{task}\"}} ");
    let figures = figures().render();
    figures.lines().find_map(|it| it.strip_prefix(&line).map(str::to_owned))
}

fn listener() -> (Told, Arc<Mutex<Vec<Panic>>>) {
    let heard = Arc::<Mutex<Vec<Panic>>>::default();
    let ears = Arc::clone(&heard);
    (Arc::new(move |panic| ears.lock().unwrap().push(panic.clone())), heard)
}

#[tokio::test]
async fn work_that_panics_begins_anew_after_pauses_that_grow() {
    figures();
    let (begun, stop) = (AtomicU32::new(0), CancellationToken::new());
    let since = Instant::now();
    let (told, heard) = listener();
    let work = kept_up("restless", stop, || async {
        assert!(begun.fetch_add(1, Ordering::Relaxed) >= 2, "not yet");
    });
    telling(told, work).await;
    assert_eq!(begun.into_inner(), 3);
    assert!(since.elapsed() >= Duration::from_secs(1 + 2));
    assert_eq!(counted("restless").as_deref(), Some("2"));
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), 2);
    assert_eq!((heard[0].task, &*heard[0].message), ("restless", "not yet"));
    assert!(heard[0].place.as_ref().unwrap().starts_with("infra/tasks/tests/panics.rs:"));
}

#[tokio::test]
async fn work_is_not_begun_anew_while_everything_stops() {
    figures();
    let (begun, stop) = (AtomicU32::new(0), CancellationToken::new());
    let end = stop.clone();
    kept_up("stopped", stop, || async {
        begun.fetch_add(1, Ordering::Relaxed);
        end.cancel();
        panic!("at the end");
    })
    .await;
    assert_eq!(begun.into_inner(), 1);
}

#[tokio::test]
async fn a_panic_is_told_to_who_listened_where_the_task_was_begun() {
    figures();
    let (told, heard) = listener();
    let mut tasks = JoinSet::new();
    telling(told, async { tasks.spawn(named("apart", async { panic!("in {}", "a task") })) }).await;
    assert!(tasks.join_next().await.unwrap().unwrap_err().is_panic());
    assert_eq!(heard.lock().unwrap()[0].message, "in a task");
    assert_eq!(counted("apart").as_deref(), Some("1"));
    let deaf = caught(async { panic!("nobody listens") }).await;
    assert_eq!(deaf.unwrap_err().0, "nobody listens");
    assert_eq!(heard.lock().unwrap().len(), 1);
    assert_ne!(counted("elsewhere").as_deref(), Some("0"), "it is counted all the same");
}
