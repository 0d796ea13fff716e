//! Every route, with its documentation.
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::state::Api;
use super::{
    alerts, answer, auto_top_up, billing, catalog, charges, compute, corrections, device_page,
    discounts, disks, disputed, documents, downloads, events, features, fleet, health, identity,
    inbox, invoices, ledger, notifications, notify, papers, payment_methods, payments, resizing,
    spending, tickets, usage, verification, viewer, webhooks,
};

/// Every route, with its documentation.
pub(super) fn routes() -> OpenApiRouter<Api> {
    let mut router = OpenApiRouter::with_openapi(documents::Document::openapi())
        .merge(payments::routes())
        .merge(payment_methods::routes())
        .merge(ledger::routes())
        .merge(charges::routes())
        .merge(usage::routes())
        .merge(disputed::routes())
        .merge(verification::routes())
        .merge(billing::routes())
        .merge(auto_top_up::routes())
        .merge(spending::routes())
        .merge(alerts::routes())
        .merge(invoices::routes())
        .merge(papers::routes())
        .merge(catalog::routes())
        .merge(discounts::routes())
        .merge(disks::routes())
        .merge(fleet::routes())
        .merge(compute::routes())
        .merge(corrections::routes())
        .merge(resizing::routes())
        .merge(identity::routes())
        .merge(notify::routes())
        .merge(answer::routes())
        .merge(tickets::routes())
        .merge(downloads::routes())
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
