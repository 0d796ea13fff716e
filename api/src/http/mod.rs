//! HTTP: routes by context, each documented in the same breath, so that `/openapi.json` cannot drift.
//!
//! A request passes, outermost first: its id, its count, its own task with a time limit, the guard, and then one handler of at most 15
//! lines: extract, command or query, answer. On its way out, what is personal in the answer is opened,
//! and the answer gets its tag.
pub mod admit;
pub mod answer;
pub mod arrival;
pub mod body;
pub mod catalog;
pub mod compute;
pub mod device_page;
pub mod documents;
pub mod edge;
pub mod events;
pub mod features;
pub mod fleet;
pub mod flight;
pub mod guard;
pub mod health;
pub mod identity;
pub mod inbox;
pub mod ledger;
pub mod limits;
pub mod money;
pub mod notifications;
pub mod notify;
pub mod notify_shapes;
pub mod opened;
pub mod own;
pub mod page;
pub mod payments;
pub mod reader;
pub mod request_id;
pub mod server;
mod service;
pub mod shapes;
pub mod state;
pub mod supervise;
pub mod tickets;
pub mod viewer;
pub mod webhooks;
pub mod wish;

use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

pub use self::service::service;
use self::state::Api;

/// Every route, with its documentation.
fn routes() -> OpenApiRouter<Api> {
    let mut router = OpenApiRouter::with_openapi(documents::Document::openapi())
        .merge(payments::routes())
        .merge(ledger::routes())
        .merge(catalog::routes())
        .merge(fleet::routes())
        .merge(compute::routes())
        .merge(identity::routes())
        .merge(notify::routes())
        .merge(answer::routes())
        .merge(tickets::routes())
        .merge(events::routes())
        .merge(notifications::routes())
        .merge(inbox::routes())
        .merge(features::routes())
        .merge(webhooks::routes())
        .merge(health::routes())
        .merge(documents::routes())
        .merge(viewer::routes())
        .merge(device_page::routes());
    documents::describe_whole(router.get_openapi_mut());
    router
}

/// The OpenAPI document.
#[must_use]
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}
