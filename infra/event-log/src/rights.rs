//! What the roles that Cairn acts as may do: no more than they need, or nothing is done.
use serde::Serialize;
use sqlx::PgPool;

use crate::LogError;

/// What was found of the roles and the tables.
#[derive(Debug, Clone, Serialize)]
pub struct Rights {
    /// What must not be, each in words. None in a sound database.
    pub excess: Vec<String>,
    /// Whom the server logs in as.
    pub login: String,
    /// Whether that login could change the schema, or the rules on rows: it owns tables, or is a superuser.
    pub login_is_owner: bool,
}

impl Rights {
    /// Looks.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when the database does not answer.
    pub async fn of(pool: &PgPool) -> Result<Self, LogError> {
        let mut db = pool.acquire().await.map_err(|error| LogError::reading(&error))?;
        let roles = sqlx::query!(
            r#"SELECT r.rolname AS "role!", r.rolsuper AS "is_superuser!", r.rolbypassrls AS "passes_rules!",
                 (SELECT count(*) FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
                    AND c.relkind IN ('r', 'p') AND pg_has_role(r.oid, c.relowner, 'USAGE')) AS "owns!",
                 (SELECT count(*) FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND r.rolname = 'cairn_tenant'
                    AND c.relkind IN ('r', 'p') AND has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))
                   AS "writes!"
               FROM pg_roles r WHERE r.rolname IN (current_user, 'cairn_app', 'cairn_tenant') ORDER BY 1"#
        );
        let roles = roles.fetch_all(&mut *db).await.map_err(|error| LogError::reading(&error))?;
        let open = sqlx::query_scalar!(
            r#"SELECT c.relname::text AS "table!" FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
               WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
                 AND a.attname IN ('organisation_id', 'user_id') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
               GROUP BY 1 ORDER BY 1"#
        );
        let open = open.fetch_all(&mut *db).await.map_err(|error| LogError::reading(&error))?;
        let login = sqlx::query!(
            r#"SELECT r.rolname AS "name!", r.rolsuper OR EXISTS (SELECT FROM pg_class c
                 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
                   AND pg_has_role(r.oid, c.relowner, 'USAGE')) AS "is_owner!"
               FROM pg_roles r WHERE r.rolname = session_user"#
        );
        let login = login.fetch_one(&mut *db).await.map_err(|error| LogError::reading(&error))?;
        let mut excess = vec![];
        for role in roles {
            let found = [
                (role.is_superuser, "is a superuser".to_owned()),
                (role.passes_rules, "passes row-level security by".to_owned()),
                (role.owns > 0, format!("owns {} tables", role.owns)),
                (role.writes > 0, format!("may write {} tables", role.writes)),
            ];
            let found = found.into_iter().filter(|(holds, _)| *holds);
            excess.extend(found.map(|(_, what)| format!("the role {} {what}", role.role)));
        }
        excess.extend(open.into_iter().map(|table| format!("the rows of {table} are not guarded")));
        Ok(Self { excess, login: login.name, login_is_owner: login.is_owner })
    }
}
