//! Which rentals a query asks for.
use cairn_core::ProjectId;
use cairn_projections::row::NO_PROJECT;
use serde::Deserialize;
use utoipa::IntoParams;

use super::reader::{AsksPage, AsksPosition};
use crate::problem::Problem;

/// Query of a list of rentals.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AllocationsQuery {
    /// Wait until the views have reached this position of the log.
    pub min_position: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Items per page, 1 to 200, 50 when absent.
    pub limit: Option<i64>,
    /// Only of this project, `proj_…`; `none` are those that are in no project.
    pub project_id: Option<String>,
}

impl AsksPosition for AllocationsQuery {
    fn min_position(&self) -> Option<i64> {
        self.min_position
    }

    fn filter(&self) -> String {
        self.project_id.clone().unwrap_or_default()
    }
}

impl AsksPage for AllocationsQuery {
    fn page(&self) -> (Option<&str>, Option<i64>) {
        (self.cursor.as_deref(), self.limit)
    }
}

/// The project that a query names, or that it wants none.
///
/// # Errors
/// `query_invalid`.
pub fn project_of(asked: Option<&str>) -> Result<Option<String>, Problem> {
    let project = asked.map(|asked| match asked.parse::<ProjectId>() {
        Ok(id) => Ok(id.to_string()),
        Err(_) if asked == NO_PROJECT => Ok(asked.to_owned()),
        Err(error) => Err(Problem::new("query_invalid", format!("project_id: {error}"))),
    });
    project.transpose()
}
