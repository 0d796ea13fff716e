//! The documents that the API serves about itself: OpenAPI and a page per error code.
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Object, Ref, RefOr, Required};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::edge::{conditions, dated, precise, preview, rate, session};
use super::preview::Preview;
use super::state::Api;
use crate::problem::{Missing, Problem, ProblemDetails, catalogue};

/// The document that routes add themselves to.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Cairn",
        description = "Rents out compute and never loses count. Amounts are decimal strings; times are RFC 3339 in UTC; \
            ids are prefixed and time-ordered. A POST needs an Idempotency-Key, but for those that carry a password or a code. Problems are RFC 9457.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(ProblemDetails, Preview)),
    modifiers(&Security),
    servers((url = "/", description = "This server")),
)]
pub struct Document;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("cairn_…")
            .description(Some("An API key, bound to an organisation and a role."))
            .build();
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("api_key", SecurityScheme::Http(scheme));
        let about = "A session, as POST /v1/sessions sets it. A change also carries X-CSRF-Token, and whoever belongs to \
            several organisations names one in Cairn-Organisation.";
        let cookie = ApiKeyValue::with_description(session::COOKIE, about);
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    }
}

/// Says of every operation what holds for all of them: headers both ways, and that it answers with a problem when something is wrong.
pub fn describe_whole(document: &mut utoipa::openapi::OpenApi) {
    describe_problems(document);
    for (is_read, operation) in operations(document) {
        match is_read {
            true => conditions::describe_read(operation),
            false => {
                conditions::describe_change(operation);
                preview::describe(operation);
            }
        }
        rate::describe(operation, is_read);
        describe_headers(operation);
    }
    precise::describe(document);
}

/// Every operation, and whether it reads.
pub fn operations(
    document: &mut utoipa::openapi::OpenApi,
) -> impl Iterator<Item = (bool, &mut Operation)> {
    document.paths.paths.values_mut().flat_map(|item| {
        let all = [
            (true, &mut item.get),
            (false, &mut item.post),
            (false, &mut item.put),
            (false, &mut item.patch),
            (false, &mut item.delete),
        ];
        all.into_iter().filter_map(|(is_read, found)| Some((is_read, found.as_mut()?)))
    })
}

fn describe_headers(operation: &mut Operation) {
    dated::describe(dated::LEAVING, operation);
    let guarded = operation.security.is_some();
    let parameters = operation.parameters.get_or_insert_default();
    let is_wish = parameters.iter().any(|parameter| parameter.name == "Idempotency-Key");
    let waits = parameters.iter().any(|parameter| parameter.name == "min_position");
    for parameter in parameters.iter_mut().filter(|p| p.name == "Idempotency-Key") {
        parameter.description = Some(IDEMPOTENCY_KEY.to_owned());
    }
    if waits {
        parameters.push(header_parameter("Cairn-Min-Position", MIN_POSITION, Type::Integer));
    }
    parameters.push(header_parameter("Cairn-Version", VERSION, Type::String));
    parameters.push(header_parameter("X-Request-Id", REQUEST_ID, Type::String));
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        let mut add = |name: &str, text: &str, kind| add_header(response, name, (text, kind));
        add("Cairn-Version", "Version of the API that answers", Type::String);
        add("X-Request-Id", "Names this request in the server's log", Type::String);
        let told = guarded && (waits || is_wish && IDEMPOTENT.contains(&status.as_str()));
        if told && status.starts_with('2') {
            add("Cairn-Position", "Place in the log that the answer is as new as", Type::Integer);
        }
    }
}

/// Statuses that only commands answer with besides 200.
const IDEMPOTENT: [&str; 2] = ["201", "202"];
const IDEMPOTENCY_KEY: &str = "1 to 200 visible ASCII characters, new for every wish and the same on a repeat: the first outcome \
    under a key stands for ever, refusals by business rules included. Keys are the organisation's own.";
const MIN_POSITION: &str = "The same as `min_position`; of the two the later one counts";
const VERSION: &str = "Version of the API that was built against, such as `2026-11-27`; the newest when absent, 400 for one that is none";
const REQUEST_ID: &str = "Names the request in the server's log: 8 to 64 of A-Z, a-z, 0-9, `-`, `_` and `.`; \
    a new one is made when it is absent or another";

/// Says of a response that it has a header.
pub fn add_header(response: &mut Response, name: &str, (text, kind): (&str, Type)) {
    let header = HeaderBuilder::new().schema(Object::with_type(kind));
    response.headers.insert(name.to_owned(), header.description(Some(text)).build());
}

/// A header of a request that need not come.
pub fn header_parameter(name: &str, text: &str, kind: Type) -> Parameter {
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header);
    let parameter = parameter.required(Required::False).description(Some(text));
    parameter.schema(Some(Object::with_type(kind))).build()
}

fn describe_problems(document: &mut utoipa::openapi::OpenApi) {
    let problem = |description: &str| {
        let schema = Ref::from_schema_name("Problem");
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let response = ResponseBuilder::new().description(description);
        response.content("application/problem+json", content).build()
    };
    for (_, operation) in operations(document) {
        let responses = &mut operation.responses.responses;
        let refused = problem("Refused; `code` says why, and its page what to do");
        let unable = problem("Not able to now; nothing happened unless `in_doubt`");
        responses.insert("4XX".to_owned(), refused.into());
        responses.insert("5XX".to_owned(), unable.into());
    }
}

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_openapi)).routes(routes!(get_error_page))
}

static OPENAPI: LazyLock<String> =
    LazyLock::new(|| super::openapi().to_pretty_json().unwrap_or_default());

/// This document.
#[utoipa::path(get, path = "/openapi.json", operation_id = "get_openapi", tag = "documents",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")))]
async fn get_openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI.as_str())
}

/// What an error code means and what to do.
#[utoipa::path(get, path = "/docs/errors/{code}", operation_id = "get_error_page", tag = "documents",
    params(("code" = String, Path, description = "Stable code of a problem")),
    responses((status = 200, description = "The page", content_type = "text/markdown")))]
async fn get_error_page(Path(code): Path<String>) -> Result<impl IntoResponse, Problem> {
    let found = catalogue::find(&code).ok_or_else(|| Problem::missing(Missing::Page))?;
    Ok(([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], found.page))
}
