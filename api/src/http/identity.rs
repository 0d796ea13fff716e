//! Identity: who the key says one is.
use axum::Json;
use axum::extract::Extension;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::guard::role_name;
use super::state::Api;
use crate::auth::Caller;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_whoami))
}

/// Whom this key stands for.
#[derive(Debug, Serialize, ToSchema)]
pub struct WhoAmI {
    /// `key_…`
    pub key_id: String,
    /// `org_…`
    pub organisation_id: String,
    /// `owner`, `viewer`, `operator` or `finance`.
    pub role: String,
}

/// Whom this key stands for.
#[utoipa::path(get, path = "/v1/whoami", operation_id = "get_whoami", tag = "identity",
    security(("api_key" = [])),
    responses((status = 200, description = "The caller", body = WhoAmI)))]
async fn get_whoami(Extension(caller): Extension<Caller>) -> Json<WhoAmI> {
    Json(WhoAmI {
        key_id: caller.key_id.to_string(),
        organisation_id: caller.organisation_id.to_string(),
        role: role_name(caller.role).to_owned(),
    })
}
