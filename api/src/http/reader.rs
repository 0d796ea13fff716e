//! What a reading request carries: who asks, and from which position of the log on the answer must be.
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use cairn_core::Decider;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::edge::conditions::Version;
use super::guard::Operation;
use super::page::{Cursors, Page, PageRequest};
use super::state::Api;
use crate::auth::Caller;
use crate::problem::Problem;

/// Header that carries log positions, both ways.
pub const POSITION: HeaderName = HeaderName::from_static("cairn-position");
const MIN_POSITION: &str = "cairn-min-position";
const PATIENCE: Duration = Duration::from_secs(5);

/// Query of one thing.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OneQuery {
    /// Wait until the views have reached this position of the log (as answered in `Cairn-Position`).
    pub min_position: Option<i64>,
}

/// Query of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Wait until the views have reached this position of the log.
    pub min_position: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Items per page, 1 to 200, 50 when absent.
    pub limit: Option<i64>,
}

/// Query of one organisation's books.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BooksQuery {
    /// Wait until the views have reached this position of the log.
    pub min_position: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Items per page, 1 to 200, 50 when absent.
    pub limit: Option<i64>,
    /// ISO 4217 code.
    pub currency: Option<String>,
    /// Another organisation, for those who may see it.
    pub organisation_id: Option<String>,
}

/// A query that may ask for a position.
pub trait AsksPosition {
    /// The position asked for.
    fn min_position(&self) -> Option<i64>;

    /// What narrows a list besides: a cursor is of one list.
    fn filter(&self) -> String {
        String::new()
    }
}

/// A query of a list.
pub trait AsksPage {
    /// Cursor and limit.
    fn page(&self) -> (Option<&str>, Option<i64>);
}

impl AsksPosition for OneQuery {
    fn min_position(&self) -> Option<i64> {
        self.min_position
    }
}

impl AsksPosition for ListQuery {
    fn min_position(&self) -> Option<i64> {
        self.min_position
    }
}

impl AsksPosition for BooksQuery {
    fn min_position(&self) -> Option<i64> {
        self.min_position
    }

    fn filter(&self) -> String {
        let said = |text: &Option<String>| text.clone().unwrap_or_default();
        format!("{}\0{}", said(&self.organisation_id), said(&self.currency))
    }
}

impl AsksPage for ListQuery {
    fn page(&self) -> (Option<&str>, Option<i64>) {
        (self.cursor.as_deref(), self.limit)
    }
}

impl AsksPage for BooksQuery {
    fn page(&self) -> (Option<&str>, Option<i64>) {
        (self.cursor.as_deref(), self.limit)
    }
}

/// A parsed reading request.
#[derive(Debug)]
pub struct Reader<Q> {
    /// Who asks.
    pub caller: Caller,
    /// What exactly.
    pub query: Q,
    cursors: Cursors,
    /// The position that the answer must show.
    wanted: Option<i64>,
}

impl<Q: DeserializeOwned + AsksPosition + Send> FromRequestParts<Api> for Reader<Q> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let caller = *parts
            .extensions
            .get::<Caller>()
            .ok_or_else(|| Problem::new("unauthenticated", "no caller"))?;
        let Query(query) = Query::<Q>::from_request_parts(parts, &())
            .await
            .map_err(|error| Problem::new("query_invalid", error.body_text()))?;
        // Whoever says it twice means the later one.
        let wanted = query.min_position().max(from_header(parts).transpose()?);
        if query.min_position().or(wanted).is_some_and(|position| position < 0) {
            return Err(Problem::new("query_invalid", "a position of the log is not negative"));
        }
        let list = parts.extensions.get::<Operation>().map_or("", |operation| &*operation.0);
        let whose = caller.organisation_id.to_string();
        let cursors = Cursors::new(Arc::clone(&api.master), (list, &whose, &query.filter()));
        Ok(Self { caller, query, cursors, wanted })
    }
}

fn from_header(parts: &Parts) -> Option<Result<i64, Problem>> {
    let text = parts.headers.get(MIN_POSITION)?.to_str().unwrap_or_default();
    let wrong = || Problem::new("query_invalid", format!("{MIN_POSITION} is not a position"));
    Some(text.parse().ok().filter(|position| *position >= 0).ok_or_else(wrong))
}

impl<Q> Reader<Q> {
    /// Waits until the view that is read shows the position asked for. Comes before the rows: they are then at least as new.
    ///
    /// # Errors
    /// `position_unknown`, `position_not_reached` or `database_unavailable`.
    pub async fn reach(&self, api: &Api, view: &'static str) -> Result<Reached, Problem> {
        api.views.reach(view, self.wanted, PATIENCE).await.map(Reached)
    }
}

impl<Q: AsksPage> Reader<Q> {
    /// The page that is asked for.
    ///
    /// # Errors
    /// `cursor_invalid` or `query_invalid`.
    pub fn page(&self) -> Result<PageRequest, Problem> {
        let (cursor, limit) = self.query.page();
        self.cursors.request(cursor, limit)
    }

    /// The page that is answered.
    ///
    /// # Errors
    /// None that is known.
    pub fn shown<R, T>(
        &self,
        rows: cairn_projections::Page<R>,
        show: impl Fn(R) -> T,
    ) -> Result<Page<T>, Problem> {
        self.cursors.page(rows, show)
    }
}

/// The position that the view had reached before its rows were read.
#[derive(Debug, Clone, Copy)]
pub struct Reached(i64);

impl Reached {
    /// What two views show together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }

    /// An answer as of the position.
    pub const fn saw<T: Serialize>(self, body: T) -> Seen<T> {
        Seen { body, position: self.0, version: None }
    }

    /// An answer that is no JSON, as of the position.
    pub fn file(self, mut response: Response) -> Response {
        response.headers_mut().insert(POSITION, HeaderValue::from(self.0));
        response
    }

    /// An answer about one thing, which is at least as new as the version it is told by: the rows were read after the position.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn saw_one<A: Decider, T: Serialize>(
        self,
        api: &Api,
        (id, body): (&str, T),
    ) -> Result<Seen<T>, Problem> {
        let version = api.views.version((A::TYPE, id), self.0).await?;
        Ok(Seen { version: Some(version), ..self.saw(body) })
    }
}

/// An answer with the position it is at least as new as.
#[derive(Debug)]
pub struct Seen<T> {
    body: T,
    position: i64,
    version: Option<Version>,
}

impl<T: Serialize> IntoResponse for Seen<T> {
    fn into_response(self) -> Response {
        let position = HeaderValue::from(self.position);
        let mut response = ([(POSITION, position)], Json(self.body)).into_response();
        if let Some(version) = self.version {
            response.extensions_mut().insert(version);
        }
        response
    }
}
