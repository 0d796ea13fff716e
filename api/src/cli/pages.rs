//! Lists longer than a page.
use cairn_projections::Page;

use super::exit::CliError;

/// Every row of a list, page by page.
pub(super) async fn all_pages<T>(
    page: impl AsyncFn(Option<String>) -> Result<Page<T>, CliError>,
) -> Result<Vec<T>, CliError> {
    let (mut rows, mut after) = (vec![], None);
    loop {
        let page = page(after).await?;
        rows.extend(page.items);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(rows),
        }
    }
}
