//! Pages of a list: an opaque cursor over the last key shown, so that nothing is skipped or repeated while the list grows.
//!
//! A cursor is marked with a key that only servers of this Cairn have, for one list of one organisation: nobody can make one up, and
//! none leads anywhere in another list.
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cairn_privacy::{MARK_LEN, SubjectKeys};
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;

const PURPOSE: &str = "cursors of lists";
/// How much one page holds at most.
pub const LIMIT_MAX: i64 = 200;
const LIMIT_DEFAULT: i64 = 50;

/// One page.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Give this as `cursor` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Where a page begins and how long it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// The last key of the page before.
    pub after: Option<String>,
    /// Items wanted.
    pub limit: i64,
}

/// The mark and the key that a cursor is made of, whoever made it.
#[must_use]
pub fn parted(cursor: &str) -> Option<(Vec<u8>, String)> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (mark, key) = bytes.split_at_checked(MARK_LEN)?;
    Some((mark.to_vec(), String::from_utf8(key.to_vec()).ok()?))
}

/// Joins what [`parted`] parts.
#[must_use]
pub fn joined(mark: &[u8], key: &str) -> String {
    URL_SAFE_NO_PAD.encode([mark, key.as_bytes()].concat())
}

/// Makes the cursors of one list, and knows them again.
#[derive(Debug, Clone)]
pub struct Cursors {
    keys: Arc<SubjectKeys>,
    /// Which list, of whom.
    list: String,
}

impl Cursors {
    /// Of a list that somebody reads.
    #[must_use]
    pub fn new(keys: Arc<SubjectKeys>, (list, reader, filter): (&str, &str, &str)) -> Self {
        Self { keys, list: format!("{list}\0{reader}\0{filter}") }
    }

    fn marked(&self, key: &[u8]) -> Vec<u8> {
        [self.list.as_bytes(), b"\0", key].concat()
    }

    fn encode(&self, key: &str) -> Result<String, Problem> {
        let mark = self.keys.mark(PURPOSE, &self.marked(key.as_bytes()));
        let mark = mark.map_err(|error| Problem::internal(&error.to_string()))?;
        Ok(joined(&mark, key))
    }

    fn decode(&self, cursor: &str) -> Result<String, Problem> {
        let known = parted(cursor)
            .filter(|(mark, key)| self.keys.is_marked(PURPOSE, &self.marked(key.as_bytes()), mark));
        known.map(|(_, key)| key).ok_or_else(|| {
            Problem::new("cursor_invalid", "give the next_cursor of the page before")
        })
    }

    /// From the query parameters.
    ///
    /// # Errors
    /// `cursor_invalid` or `query_invalid`.
    pub fn request(
        &self,
        cursor: Option<&str>,
        limit: Option<i64>,
    ) -> Result<PageRequest, Problem> {
        let limit = limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            let detail = format!("limit is from 1 to {LIMIT_MAX}, not {limit}");
            return Err(Problem::new("query_invalid", detail));
        }
        Ok(PageRequest { after: cursor.map(|cursor| self.decode(cursor)).transpose()?, limit })
    }

    /// A page of a view, each row as `show` puts it.
    ///
    /// # Errors
    /// None that is known: the server has a key.
    pub fn page<R, T>(
        &self,
        rows: cairn_projections::Page<R>,
        show: impl Fn(R) -> T,
    ) -> Result<Page<T>, Problem> {
        let next_cursor = rows.next.as_deref().map(|key| self.encode(key)).transpose()?;
        Ok(Page { items: rows.items.into_iter().map(show).collect(), next_cursor })
    }
}
