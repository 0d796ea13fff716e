//! The whole service: every route, and around it, layer by layer, what holds of all of them.
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};

use super::edge::{conditions, headers};
use super::guard::{self, Guard, Operations};
use super::state::Api;
use super::{opened, request_id, routes, supervise};
use crate::problem::Problem;

/// The whole service.
pub fn service(api: Api) -> Router {
    let (router, document) = routes().split_for_parts();
    let guard = Guard { api: api.clone(), operations: Operations::of(&document) };
    let router = router
        .route_layer(from_fn_with_state(api.clone(), opened::open))
        .route_layer(from_fn(conditions::tag))
        .route_layer(from_fn_with_state(guard, guard::guard))
        .fallback(|| async { Problem::new("route_not_found", "see /openapi.json for every path") })
        .method_not_allowed_fallback(|| async {
            Problem::new("method_not_allowed", "see /openapi.json for the methods of this path")
        })
        .layer(from_fn_with_state(api.clone(), supervise::supervise))
        .layer(from_fn(supervise::measure))
        .layer(from_fn_with_state(api.clone(), request_id::name_request))
        .with_state(api.clone());
    headers::around(router, &api)
}
