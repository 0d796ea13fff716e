//! Health: is the process alive, can it serve, and what does it count.
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use cairn_commands::processes::operator;
use cairn_projections::ProjectionStatus;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::state::Api;

const PATIENCE: Duration = Duration::from_secs(2);
/// Views that lag further behind than this are not fit to serve.
const LAG_MAX_SECONDS: f64 = 30.0;
const PROCESS_LAG_MAX_SECONDS: i64 = 30;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(get_liveness))
        .routes(routes!(get_readiness))
        .routes(routes!(get_startup))
        .routes(routes!(get_metrics))
}

/// Whether one part is fit.
#[derive(Debug, Serialize, ToSchema)]
pub struct PartHealth {
    /// Name of the part.
    pub part: String,
    /// Whether it can serve.
    pub ready: bool,
    /// Why not, or how it stands.
    pub detail: String,
}

/// Whether this server can serve.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Whether all parts are fit.
    pub ready: bool,
    /// Part by part.
    pub parts: Vec<PartHealth>,
}

/// Answers as long as the process runs.
#[utoipa::path(get, path = "/livez", operation_id = "get_liveness", tag = "health",
    responses((status = 200, description = "The process runs")))]
async fn get_liveness() -> &'static str {
    "alive\n"
}

/// Database, projections and processes, part by part.
#[utoipa::path(get, path = "/readyz", operation_id = "get_readiness", tag = "health",
    responses(
        (status = 200, description = "All parts are fit", body = Readiness),
        (status = 503, description = "Some part is not", body = Readiness),
    ))]
async fn get_readiness(State(api): State<Api>) -> (StatusCode, Json<Readiness>) {
    let readiness = look(&api).await;
    (status(readiness.ready), Json(readiness))
}

/// Whether every part has been fit at once since this server began: from then on `/readyz` tells.
#[utoipa::path(get, path = "/startupz", operation_id = "get_startup", tag = "health",
    responses(
        (status = 200, description = "It has begun", body = Readiness),
        (status = 503, description = "Some part has not begun yet", body = Readiness),
    ))]
async fn get_startup(State(api): State<Api>) -> (StatusCode, Json<Readiness>) {
    if api.started.load(Ordering::Relaxed) {
        return (StatusCode::OK, Json(Readiness { ready: true, parts: vec![] }));
    }
    let readiness = look(&api).await;
    api.started.fetch_or(readiness.ready, Ordering::Relaxed);
    (status(readiness.ready), Json(readiness))
}

async fn look(api: &Api) -> Readiness {
    let parts = vec![database(api).await, projections(api).await, processes(api).await];
    Readiness { ready: parts.iter().all(|part| part.ready), parts }
}

const fn status(ready: bool) -> StatusCode {
    if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// What this process counts, for Prometheus.
#[utoipa::path(get, path = "/metrics", operation_id = "get_metrics", tag = "health",
    responses((status = 200, description = "Prometheus text", content_type = "text/plain")))]
async fn get_metrics(State(api): State<Api>) -> impl IntoResponse {
    let text = api.metrics.as_ref().map(|handle| handle.render()).unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

fn part(
    name: &str,
    found: Result<Result<String, String>, tokio::time::error::Elapsed>,
) -> PartHealth {
    let found = found.unwrap_or_else(|_| Err("it does not answer".to_owned()));
    let ready = found.is_ok();
    let detail = found.unwrap_or_else(|cause| cause);
    PartHealth { part: name.to_owned(), ready, detail }
}

async fn database(api: &Api) -> PartHealth {
    let ask = async {
        let head = api.commands.executor.log().head().await.map_err(|e| e.to_string())?;
        Ok(format!("log at {head}"))
    };
    part("database", tokio::time::timeout(PATIENCE, ask).await)
}

async fn projections(api: &Api) -> PartHealth {
    let ask = async {
        let all = api.views.projector().status().await.map_err(|e| e.to_string())?;
        stand(&all)
    };
    part("projections", tokio::time::timeout(PATIENCE, ask).await)
}

/// Rows of an older version are served as they are while newer ones are folded beside them: that is no fault, however long it takes.
fn stand(all: &[ProjectionStatus]) -> Result<String, String> {
    let (current, older): (Vec<_>, Vec<_>) = all.iter().partition(|p| p.version >= p.code_version);
    let late = current.iter().filter(|p| p.lag_seconds > LAG_MAX_SECONDS);
    let late: Vec<_> = late.map(|p| format!("{} by {:.0} s", p.name, p.lag_seconds)).collect();
    if !late.is_empty() {
        return Err(format!("behind: {}", late.join(", ")));
    }
    let older: Vec<_> = older.iter().map(|p| &*p.name).collect();
    let anew = if older.is_empty() { "" } else { "; folded anew: " };
    Ok(format!("{} follow the log{anew}{}", current.len(), older.join(", ")))
}

async fn processes(api: &Api) -> PartHealth {
    let ask = async {
        let log = api.commands.executor.log();
        let head = log.head().await.map_err(|e| e.to_string())?;
        let lag = operator::lag(api.pool(), head).await.map_err(|e| e.to_string())?;
        let waiting = log.read(head - lag, 1).await.map_err(|e| e.to_string())?;
        let now = api.commands.clock.now();
        let seconds = waiting.first().map_or(0, |event| now.secs_since(event.recorded_at));
        let detail = format!("{lag} events behind, the first for {seconds} s");
        if seconds > PROCESS_LAG_MAX_SECONDS { Err(detail) } else { Ok(detail) }
    };
    part("processes", tokio::time::timeout(PATIENCE, ask).await)
}

#[cfg(test)]
mod tests {
    use super::{ProjectionStatus, stand};

    fn standing(name: &str, version: i32, lag_seconds: f64) -> ProjectionStatus {
        ProjectionStatus {
            name: name.to_owned(),
            version,
            code_version: 2,
            position: 0,
            head: 9,
            lag_events: 9,
            lag_seconds,
            parked_keys: 0,
            parked_events: 0,
            skipped_events: 0,
            events_per_second: 0.0,
            last_error: None,
            last_error_at: None,
            building_position: None,
            kept_until: None,
            updated_at: None,
        }
    }

    #[test]
    fn a_view_that_lags_is_unfit_and_one_that_is_folded_anew_is_not() {
        let anew = stand(&[standing("a/b", 1, 900.0), standing("c/d", 2, 0.0)]);
        assert_eq!(anew, Ok("1 follow the log; folded anew: a/b".to_owned()));
        let late = stand(&[standing("a/b", 1, 0.0), standing("c/d", 2, 31.0)]);
        assert_eq!(late, Err("behind: c/d by 31 s".to_owned()));
    }
}
