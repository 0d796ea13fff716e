//! For whom views are read. What a customer is shown is read as a role of the database that may only read, and to which the rows of
//! others do not exist, whatever the query says: the second lock behind the conditions of the queries themselves.
use std::fmt::Write as _;

use cairn_core::OrganisationId;
use sqlx::{PgPool, Postgres, Transaction};

use crate::row::QueryError;

/// For whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenancy {
    /// For the platform: every row.
    Platform,
    /// For a customer.
    Tenant {
        /// What is this organisation's,
        organisation_id: Option<OrganisationId>,
        /// and what is this actor's own: `user_…` or `key_…`.
        actor: String,
    },
}

impl Tenancy {
    /// A transaction that reads for them and writes nothing. It ends when it is dropped.
    ///
    /// # Errors
    /// [`QueryError`] when the database is away, or has not been migrated so far.
    pub async fn begin(&self, pool: &PgPool) -> Result<Transaction<'static, Postgres>, QueryError> {
        Ok(pool.begin_with(self.statement()).await?)
    }

    /// One text, so that one answer of the database is waited for.
    fn statement(&self) -> String {
        let mut statement = "BEGIN READ ONLY".to_owned();
        if let Self::Tenant { organisation_id, actor } = self {
            let organisation = organisation_id.map(|id| id.to_string()).unwrap_or_default();
            let actor = actor.replace('\'', "''");
            let _ = write!(
                statement,
                "; SET LOCAL cairn.organisation = '{organisation}'; SET LOCAL cairn.actor = '{actor}'; \
                 SET LOCAL ROLE cairn_tenant"
            );
        }
        statement
    }
}
