//! `/docs/`: the OpenAPI document as a page to read and try, without anything from anywhere else.
//!
//! The page is Swagger UI, whose files come with its crate and are compiled in.
use std::sync::{Arc, LazyLock};

use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::Config;

use super::state::Api;
use crate::problem::{Missing, Problem};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(get_docs))
        .routes(routes!(get_docs_page))
        .routes(routes!(get_docs_file))
}

/// It runs its own scripts, asks this server and nobody else, and is framed nowhere. Its icons are data, and its styles stand in the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Nothing is asked of a validator elsewhere, and a key that is typed in is forgotten with the page.
static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::from("/openapi.json").validator_url("none");
    Arc::new(config.persist_authorization(false))
});

/// Where the pages about this API are.
#[utoipa::path(get, path = "/docs", operation_id = "get_docs", tag = "documents",
    responses((status = 308, description = "They are at `/docs/`")))]
async fn get_docs() -> Redirect {
    Redirect::permanent("/docs/")
}

/// This document as a page to read and to try.
#[utoipa::path(get, path = "/docs/", operation_id = "get_docs_page", tag = "documents",
    responses((status = 200, description = "The page", content_type = "text/html")))]
async fn get_docs_page() -> Result<Response, Problem> {
    file("index.html")
}

/// What the page consists of.
#[utoipa::path(get, path = "/docs/{file}", operation_id = "get_docs_file", tag = "documents",
    params(("file" = String, Path, description = "Its name")),
    responses((status = 200, description = "A script, a style or a picture of the page")))]
async fn get_docs_file(Path(name): Path<String>) -> Result<Response, Problem> {
    file(&name)
}

fn file(name: &str) -> Result<Response, Problem> {
    let found = utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG));
    let found = found.map_err(|error| Problem::internal(&error.to_string()))?;
    let found = found.ok_or_else(|| Problem::missing(Missing::Page))?;
    let kind = HeaderValue::from_str(&found.content_type);
    let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let policy = HeaderName::from_static("content-security-policy");
    let headers = [(header::CONTENT_TYPE, kind), (policy, HeaderValue::from_static(POLICY))];
    Ok((headers, found.bytes.into_owned()).into_response())
}
