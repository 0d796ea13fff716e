//! The page of the OpenAPI document: whole, and from nowhere else.
use reqwest::{Method, redirect};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Caller, Stage, answer};

/// What a page refers to.
fn references(html: &str) -> Vec<String> {
    let after = |mark: &'static str| html.split(mark).skip(1).map(|rest| rest.split('"').next());
    after("src=\"").chain(after("href=\"")).flatten().map(str::to_owned).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn the_page_has_all_that_it_needs_here(_: PgPoolOptions, options: PgConnectOptions) {
    let stage = Stage::set(options).await;
    let plain = reqwest::Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let nobody = Caller { http: plain, ..stage.nobody() };
    let led = nobody.get("/docs").await;
    assert_eq!((led.status, led.header("location")), (308, "/docs/"));
    let page = nobody.get("/docs/").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html"));
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
    assert!(!policy.contains("http") && !policy.contains("unsafe-eval"), "{policy}");
    let html = page.body.as_str().unwrap();
    assert!(!html.contains("<script>"), "a script in the page would not run");
    let found = references(html);
    assert!(found.len() >= 6, "{found:?}");
    for name in found {
        assert!(!name.contains("//"), "{name} comes from elsewhere");
        let path = format!("/docs/{}", name.trim_start_matches("./"));
        let part = nobody.request(Method::GET, &path).send().await.unwrap();
        let kind = part.headers()["content-type"].to_str().unwrap().to_owned();
        assert_eq!(part.status(), 200, "{path}");
        assert!(["text/css", "text/javascript", "image/png"].contains(&&*kind), "{path}: {kind}");
        assert!(!part.bytes().await.unwrap().is_empty());
    }
    let start = nobody.request(Method::GET, "/docs/swagger-initializer.js").send().await.unwrap();
    let start = start.text().await.unwrap();
    assert!(
        start.contains("\"/openapi.json\"") && start.contains("\"validatorUrl\": \"none\""),
        "{start}"
    );
    for none in ["/docs/nothing.js", "/docs/..%2Findex.html"] {
        let none = answer(nobody.request(Method::GET, none)).await;
        assert_eq!((none.status, none.code()), (404, "not_found"));
    }
    stage.strike().await;
}
