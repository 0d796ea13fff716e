//! Pages of a list: an opaque cursor over the last key shown, so that nothing is skipped or repeated while the list grows.
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;

const VERSION: &str = "1:";
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

impl PageRequest {
    /// From the query parameters.
    ///
    /// # Errors
    /// `cursor_invalid` or `query_invalid`.
    pub fn parse(cursor: Option<&str>, limit: Option<i64>) -> Result<Self, Problem> {
        let limit = limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            let detail = format!("limit is from 1 to {LIMIT_MAX}, not {limit}");
            return Err(Problem::new("query_invalid", detail));
        }
        Ok(Self { after: cursor.map(decode).transpose()?, limit })
    }
}

impl<T> Page<T> {
    /// A page of a view, each row as `show` puts it.
    pub fn of<R>(rows: cairn_projections::Page<R>, show: impl Fn(R) -> T) -> Self {
        let next_cursor = rows.next.as_deref().map(encode);
        Self { items: rows.items.into_iter().map(show).collect(), next_cursor }
    }
}

fn encode(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{VERSION}{key}"))
}

fn decode(cursor: &str) -> Result<String, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let key = text.as_deref().and_then(|text| text.strip_prefix(VERSION));
    let clean = key.filter(|key| key.len() <= 200 && !key.contains('\0'));
    clean
        .map(str::to_owned)
        .ok_or_else(|| Problem::new("cursor_invalid", "give the next_cursor of the page before"))
}

#[cfg(test)]
mod tests {
    use super::{Page, PageRequest};

    #[test]
    fn a_cursor_leads_to_the_key_it_was_made_of() {
        let rows = cairn_projections::Page { items: vec![1, 2], next: Some("2".to_owned()) };
        let page = Page::of(rows, |row| row * 10);
        assert_eq!(page.items, [10, 20]);
        let second = PageRequest::parse(page.next_cursor.as_deref(), Some(2)).unwrap();
        assert_eq!(second.after.as_deref(), Some("2"));
    }

    #[test]
    fn a_made_up_cursor_or_limit_is_refused() {
        for cursor in ["x", "", "MTI", "____"] {
            let code = PageRequest::parse(Some(cursor), None).unwrap_err().code.name;
            assert_eq!(code, "cursor_invalid", "{cursor}");
        }
        assert_eq!(PageRequest::parse(None, Some(0)).unwrap_err().code.name, "query_invalid");
        assert_eq!(PageRequest::parse(None, Some(201)).unwrap_err().code.name, "query_invalid");
    }
}
