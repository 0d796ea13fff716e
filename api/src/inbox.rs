//! Deals with what webhooks announced: asks the provider how the object stands now, and records the answer as a command.
use std::sync::Arc;
use std::time::Duration;

use cairn_commands::ports::{PaymentPort, PortError};
use cairn_commands::webhooks::{self, PendingWebhook, Subject};
use cairn_commands::{CommandContext, Commands, ExecuteError, payments};
use cairn_spans::{Kind, Work};
use cairn_tasks::{Panicked, caught};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::trace::Trace;

const BATCH: i64 = 20;
/// How often a contradiction is looked at before it is believed.
const LOOKS: i32 = 2;
const POLL: Duration = Duration::from_secs(1);

/// The worker of the inbox; any number of processes may run one.
#[derive(Clone)]
pub struct Inbox {
    /// What acts.
    pub commands: Commands,
    /// The provider.
    pub payments: Arc<dyn PaymentPort>,
    /// Rung when something arrives.
    pub bell: Arc<Notify>,
}

/// Why a webhook is not dealt with yet.
#[derive(Debug, thiserror::Error)]
enum Stuck {
    #[error(transparent)]
    Port(#[from] PortError),
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

impl Inbox {
    /// Works until it is stopped. What is claimed and not finished comes back by itself.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.work().await {
                Ok(0) => {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = self.bell.notified() => {}
                        () = tokio::time::sleep(POLL) => {}
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "the webhook inbox waits for the database");
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(POLL) => {}
                    }
                }
            }
        }
    }

    fn pool(&self) -> &PgPool {
        self.commands.executor.log().pool()
    }

    async fn work(&self) -> Result<usize, sqlx::Error> {
        let claimed = webhooks::claim(self.pool(), self.commands.clock.now(), BATCH).await?;
        let count = claimed.len();
        for webhook in claimed {
            let work = cairn_spans::child(Kind::Internal, || "settle payment webhook");
            let applied = caught(work.run(self.apply(&webhook, &work))).await;
            let applied = applied.unwrap_or_else(|panicked| Err(panicked.into()));
            drop(work);
            match applied {
                Ok(remark) => {
                    let now = self.commands.clock.now();
                    let remark = remark.as_deref();
                    webhooks::mark_processed(self.pool(), webhook.id, remark, now).await?;
                }
                Err(stuck) => {
                    tracing::warn!(event = webhook.event_id, %stuck, "webhook not dealt with yet");
                    webhooks::mark_failed(self.pool(), webhook.id, &stuck.to_string()).await?;
                }
            }
        }
        Ok(count)
    }

    /// Deals with one; answers what people should know about how.
    async fn apply(&self, webhook: &PendingWebhook, work: &Work) -> Result<Option<String>, Stuck> {
        let span = work.traceparent().map(Trace::of_span);
        let trace = span.unwrap_or_else(|| Trace::begin(self.commands.ids.as_ref()));
        let context = context(webhook, &trace);
        let applied = match &webhook.subject {
            Subject::Payment(id) => match self.payments.payment(id).await {
                Ok(reported) => {
                    payments::apply_provider_payment(&self.commands, &context, &reported).await
                }
                Err(error) => return gone(webhook, error),
            },
            Subject::Refund(id) => match self.payments.refund(id).await {
                Ok(reported) => {
                    payments::apply_provider_refund(&self.commands, &context, &reported).await
                }
                Err(error) => return gone(webhook, error),
            },
            Subject::Dispute(id) => match self.payments.dispute(id).await {
                Ok(reported) => {
                    payments::apply_provider_dispute(&self.commands, &context, &reported).await
                }
                Err(error) => return gone(webhook, error),
            },
            Subject::Setup(id) => match self.payments.setup(id).await {
                Ok(reported) => {
                    payments::apply_provider_setup(&self.commands, &context, &reported).await
                }
                Err(error) => return gone(webhook, error),
            },
        };
        match applied {
            Ok(_) => Ok(None),
            // Perhaps it failed while it was asked about: the next look tells.
            Err(ExecuteError::Refused { code, message, .. })
                if code == payments::PAID_AFTER_FAILURE =>
            {
                if webhook.attempts < LOOKS {
                    return Err(PortError::transient(payments::PAID_AFTER_FAILURE, message).into());
                }
                tracing::error!(event = webhook.event_id, code, message, "money is out twice");
                Ok(Some(format!("{code}: {message}")))
            }
            // Not one of ours, or a contradiction: asking again will not change it, and reconciliation will show it.
            Err(ExecuteError::Refused { code, message, .. }) => {
                tracing::warn!(event = webhook.event_id, code, message, "webhook refused");
                Ok(Some(format!("{code}: {message}")))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// An object that the provider does not have needs no more questions. Whatever else went wrong is asked again.
fn gone(webhook: &PendingWebhook, error: PortError) -> Result<Option<String>, Stuck> {
    if error.code != "resource_missing" {
        return Err(error.into());
    }
    tracing::warn!(event = webhook.event_id, %error, "the provider does not have what it announced");
    Ok(Some(error.to_string()))
}

/// Each attempt may find the object in another state, so each is a command of its own.
fn context(webhook: &PendingWebhook, trace: &Trace) -> CommandContext {
    let command_id = format!("webhook:{}:{}", webhook.event_id, webhook.attempts);
    CommandContext {
        body_hash: Sha256::digest(&command_id).into(),
        command_id,
        actor: "stripe".to_owned(),
        organisation_id: None,
        correlation_id: webhook.event_id.clone(),
        causation_id: None,
        traceparent: Some(trace.traceparent()),
        origin: Some("webhook".to_owned()),
    }
}
