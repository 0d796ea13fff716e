//! Waits for copies: all who wait in a process share one look.
use std::collections::HashMap;
use std::time::Duration;

use cairn_tasks::{caught, named};
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::TaskTracker;

use crate::LogError;

/// How long a command waits for its copy.
const PATIENCE: Duration = Duration::from_secs(5);
/// An outcome without events makes no noise: it is looked for so often.
const LOOK: Duration = Duration::from_millis(20);
/// Who may wait at the same time; beyond it callers wait to wait.
const QUEUE: usize = 4_096;

type Answer = Result<(), LogError>;
type Waiting = HashMap<String, Vec<oneshot::Sender<Answer>>>;

#[derive(Debug)]
pub(super) struct Waiter {
    queue: mpsc::Sender<(String, oneshot::Sender<Answer>)>,
}

impl Waiter {
    /// It ends when the handle is gone.
    pub(super) fn start(pool: PgPool, grown: watch::Receiver<i64>, tasks: &TaskTracker) -> Self {
        let (queue, asked) = mpsc::channel(QUEUE);
        tasks.spawn(named("log", async move {
            let (mut asked, mut grown) = (asked, grown);
            // Whoever waited hears that the log is closed: what they wrote is in doubt.
            while caught(run(&pool, &mut asked, &mut grown)).await.is_err() {}
        }));
        Self { queue }
    }

    /// Until a command is copied.
    ///
    /// # Errors
    /// [`LogError::Rejected`] when its stream was parked at it; [`LogError::InDoubt`] when it takes too long: it is written, and the
    /// same command id will be answered.
    pub(super) async fn copied(&self, command_id: &str) -> Result<(), LogError> {
        let (answer, answered) = oneshot::channel();
        let asked = self.queue.send((command_id.to_owned(), answer)).await;
        asked.map_err(|_| LogError::InDoubt("the log is closed".to_owned()))?;
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(LogError::InDoubt("the log is closed".to_owned())),
            Err(_) => Err(LogError::InDoubt(
                "it is written, and not copied into the database yet".to_owned(),
            )),
        }
    }
}

async fn run(
    pool: &PgPool,
    asked: &mut mpsc::Receiver<(String, oneshot::Sender<Answer>)>,
    grown: &mut watch::Receiver<i64>,
) {
    let mut waiting = Waiting::new();
    let closed = pool.close_event();
    tokio::pin!(closed);
    loop {
        let idle = waiting.is_empty();
        tokio::select! {
            () = &mut closed => return,
            next = asked.recv() => match next {
                Some((id, answer)) => waiting.entry(id).or_default().push(answer),
                None => return,
            },
            _ = grown.changed(), if !idle => {}
            () = tokio::time::sleep(LOOK), if !idle => {}
        }
        while let Ok((id, answer)) = asked.try_recv() {
            waiting.entry(id).or_default().push(answer);
        }
        waiting.retain(|_, answers| {
            answers.retain(|answer| !answer.is_closed());
            !answers.is_empty()
        });
        if let Err(error) = look(pool, &mut waiting).await {
            tracing::debug!(%error, "not seeing what is copied");
        }
    }
}

/// Answers those whose command is copied or parked.
async fn look(pool: &PgPool, waiting: &mut Waiting) -> sqlx::Result<()> {
    let ids: Vec<String> = waiting.keys().cloned().collect();
    let found = sqlx::query!(
        r#"SELECT command_id AS "command_id!", NULL AS refused_by, '' AS "message!"
           FROM events WHERE command_id COLLATE "C" = ANY ($1) AND outcome IS NOT NULL
           UNION ALL
           SELECT command_id, NULL, '' FROM commands WHERE command_id = ANY ($1)
           UNION ALL
           SELECT command_id, refused_by, message FROM log_parked WHERE command_id = ANY ($1)"#,
        &ids
    );
    for found in found.fetch_all(pool).await? {
        let answer = match found.refused_by {
            None => Ok(()),
            Some(constraint) => Err(LogError::Rejected { constraint, message: found.message }),
        };
        for waiting in waiting.remove(&found.command_id).unwrap_or_default() {
            let _ = waiting.send(answer.clone());
        }
    }
    Ok(())
}
