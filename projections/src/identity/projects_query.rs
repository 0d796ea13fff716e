//! Questions about projects: asked by whoever rents, and by whoever looks at what each costs.
use cairn_core::OrganisationId;
use serde::Serialize;
use sqlx::PgExecutor;

use crate::row::{At, Page, QueryError, before, fetch_limit};

/// A project, with its name as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Project {
    pub project_id: String,
    /// Where in the log it was created.
    pub position: i64,
    pub name: String,
    pub created_at: At,
    /// Since when it takes no new rental.
    pub archived_at: Option<At>,
}

async fn select(
    db: impl PgExecutor<'_>,
    organisation: OrganisationId,
    project_id: Option<&str>,
    (before, limit): (i64, i64),
) -> Result<Vec<Project>, QueryError> {
    let rows = sqlx::query_as!(
        Project,
        r#"SELECT project_id, position, name, created_at AS "created_at: At", archived_at AS "archived_at: At"
           FROM identity_projects
           WHERE organisation_id = $1 AND ($2::text IS NULL OR project_id = $2) AND position < $3
           ORDER BY position DESC LIMIT $4"#,
        organisation.to_string(),
        project_id,
        before,
        limit,
    );
    Ok(rows.fetch_all(db).await?)
}

/// One project; to another organisation it does not exist.
///
/// # Errors
/// [`QueryError`].
pub async fn get(
    db: impl PgExecutor<'_>,
    organisation: OrganisationId,
    project_id: &str,
) -> Result<Option<Project>, QueryError> {
    Ok(select(db, organisation, Some(project_id), (i64::MAX, 1)).await?.pop())
}

/// Projects of an organisation, the newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    db: impl PgExecutor<'_>,
    organisation: OrganisationId,
    after: Option<String>,
    limit: i64,
) -> Result<Page<Project>, QueryError> {
    let rows = select(db, organisation, None, (before(after)?, fetch_limit(limit))).await?;
    Ok(Page::of(rows, limit, |row| row.position))
}
