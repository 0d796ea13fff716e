//! Identity: who the caller is; people, organisations and keys.
pub mod devices;
pub mod export;
pub mod factors;
pub mod keys;
pub mod members;
pub mod oidc;
pub mod organisations;
mod parts;
pub mod passkeys;
pub mod people;
pub mod projects;
pub mod service_accounts;
pub mod sessions;
pub mod support;
pub mod whoami;
pub mod wishes;

use utoipa_axum::router::OpenApiRouter;

use self::parts::{
    address, caught_up, code_hash, further, new_code, new_key, new_secret, open, open_or_erased,
    role, scopes, seen,
};
use super::state::Api;

/// Routes of this context.
pub fn routes() -> OpenApiRouter<Api> {
    whoami::routes()
        .merge(people::routes())
        .merge(sessions::routes())
        .merge(factors::routes())
        .merge(organisations::routes())
        .merge(members::routes())
        .merge(support::routes())
        .merge(service_accounts::routes())
        .merge(projects::routes())
        .merge(keys::routes())
        .merge(devices::routes())
        .merge(wishes::routes())
        .merge(export::routes())
        .merge(oidc::routes())
        .merge(passkeys::routes())
}
