//! `/device`: the page where a person types the code that a program shows, reads what it asks for, and lets it in or not.
//!
//! One file without anything from anywhere else. Its script and its style run because the policy names their hashes, and nothing that
//! anybody sent is put in but as text.
use std::sync::LazyLock;

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::state::Api;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_device_page))
}

const PAGE: &str = include_str!("device.html");

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash("script"),
        hash("style")
    );
    // Base 64 and the words above are all visible ASCII.
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// The source expression of what stands in this element of the page.
fn hash(element: &str) -> String {
    let rest = PAGE.split_once(&format!("<{element}>")).map_or("", |(_, rest)| rest);
    let inside = rest.split_once(&format!("</{element}>")).map_or("", |(inside, _)| inside);
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(inside)))
}

/// The page where a person lets a program in.
#[utoipa::path(get, path = "/device", operation_id = "get_device_page", tag = "documents",
    responses((status = 200, description = "The page", content_type = "text/html")))]
async fn get_device_page() -> impl IntoResponse {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    let policy = HeaderName::from_static("content-security-policy");
    ([(header::CONTENT_TYPE, kind), (policy, POLICY.clone())], PAGE)
}

#[cfg(test)]
mod tests {
    use super::{PAGE, POLICY};

    #[test]
    fn the_page_runs_what_stands_in_it_and_nothing_else() {
        let policy = POLICY.to_str().unwrap();
        assert_eq!(policy.matches("'sha256-").count(), 2, "{policy}");
        assert!(
            !policy.contains("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
            "the hash of nothing"
        );
        assert_eq!((PAGE.matches("<script").count(), PAGE.matches("<style").count()), (1, 1));
        for foreign in [
            "http:",
            "https:",
            "innerHTML",
            "localStorage",
            "sessionStorage",
            " onclick",
            " style=",
        ] {
            assert!(!PAGE.contains(foreign), "{foreign}");
        }
    }
}
