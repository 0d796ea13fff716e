//! Who the key or the session says one is.
use axum::Json;
use axum::extract::Extension;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::state::Api;
use crate::auth::{Caller, Who};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_whoami))
}

/// Whom this key or session stands for.
#[derive(Debug, Serialize, ToSchema)]
pub struct WhoAmI {
    /// `key_…`, when it is a program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// `sa_…`, when it is a program that its organisation knows by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_id: Option<String>,
    /// `user_…`, when it is a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// `grant_…`, when it is support, for as long as it may look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_id: Option<String>,
    /// `org_…`
    pub organisation_id: String,
    /// `owner`, `admin`, `finance`, `developer`, `viewer`, or one of the platform's, as `platform_operator`.
    pub role: String,
}

/// Whom this key or session stands for.
#[utoipa::path(get, path = "/v1/whoami", operation_id = "get_whoami", tag = "identity",
    security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "The caller", body = WhoAmI)))]
async fn get_whoami(Extension(caller): Extension<Caller>) -> Json<WhoAmI> {
    let said = WhoAmI {
        key_id: None,
        service_account_id: None,
        user_id: None,
        grant_id: None,
        organisation_id: caller.organisation_id.to_string(),
        role: caller.role.name().to_owned(),
    };
    Json(match caller.who {
        Who::Key(key_id) => WhoAmI { key_id: Some(key_id.to_string()), ..said },
        Who::Service(account, key_id) => WhoAmI {
            key_id: Some(key_id.to_string()),
            service_account_id: Some(account.to_string()),
            ..said
        },
        Who::Person(person) => WhoAmI { user_id: Some(person.user_id.to_string()), ..said },
        Who::Support(key_id, grant_id) => WhoAmI {
            key_id: Some(key_id.to_string()),
            grant_id: Some(grant_id.to_string()),
            ..said
        },
    })
}
