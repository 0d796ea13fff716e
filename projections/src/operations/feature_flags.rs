//! Feature flags: asked by operators who switch them, and by every server for what is on.
//!
//! One row of `operations_feature_flags` is one flag, archived ones included. One row of `operations_feature_flag_overrides` is what was
//! decided for one organisation.
use std::collections::BTreeMap;

use async_trait::async_trait;
use cairn_event_log::Recorded;
use cairn_operations::{FeatureFlag, FeatureFlagEvent};
use serde::Serialize;
use sqlx::PgPool;

use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::{At, Page, QueryError, before, fetch_limit};

/// Name of this projection.
pub const NAME: &str = "operations/feature_flags";

/// A flag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Flag {
    pub flag: String,
    /// Where in the log it was defined.
    pub position: i64,
    pub description: String,
    /// 0 to 100.
    pub percentage: i64,
    pub defined_at: At,
    /// When anything about it was last changed.
    pub changed_at: At,
    /// Since when it is off for good.
    pub archived_at: Option<At>,
    /// What was decided for single organisations.
    pub overrides: Vec<Override>,
}

/// What was decided for one organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Override {
    #[serde(skip)]
    pub flag: String,
    pub organisation_id: String,
    pub is_on: bool,
    pub set_at: At,
}

/// The projection.
pub struct FeatureFlags;

#[async_trait]
impl Projection for FeatureFlags {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &["operations_feature_flags", "operations_feature_flag_overrides"]
    }

    fn interest(&self) -> Interest {
        Interest::of(&[FeatureFlagEvent::TYPES])
    }

    fn splits_by_key(&self) -> bool {
        true
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        use FeatureFlagEvent as E;
        let flag = event.aggregate_id.clone();
        let key = (flag.clone(),);
        let mut change = |at, apply: Box<dyn FnOnce(&mut FlagRow) + Send>| {
            changes.change(key.clone(), move |row: &mut FlagRow| {
                row.changed_at = At(at);
                apply(row);
                Ok(())
            });
        };
        match event.decode()? {
            E::Defined { flag, description, at } => changes.insert(FlagRow {
                flag,
                position: event.position,
                description,
                percentage: 0,
                defined_at: At(at),
                changed_at: At(at),
                archived_at: None,
            }),
            E::RolledOut { percentage, at, .. } => {
                change(at, Box::new(move |row| row.percentage = i64::from(percentage)));
            }
            E::Overridden { organisation_id, on, at, .. } => {
                change(at, Box::new(|_| ()));
                let organisation_id = organisation_id.to_string();
                let key = (flag.clone(), organisation_id.clone());
                changes.put(key, move |_: Option<OverrideRow>| {
                    Ok(OverrideRow { flag, organisation_id, is_on: on, set_at: At(at) })
                });
            }
            E::OverrideCleared { organisation_id, at, .. } => {
                change(at, Box::new(|_| ()));
                changes.remove::<OverrideRow>((flag, organisation_id.to_string()));
            }
            E::Archived { at, .. } => {
                change(at, Box::new(move |row| row.archived_at = Some(At(at))));
            }
        }
        Ok(())
    }
}

row! {
    /// A flag, archived or not.
    pub(crate) struct FlagRow in "operations_feature_flags" by (flag: String) {
        flag: String,
        position: i64,
        description: String,
        percentage: i64,
        defined_at: At,
        changed_at: At,
        archived_at: Option<At>,
    }
}

row! {
    /// What was decided for one organisation.
    pub(crate) struct OverrideRow in "operations_feature_flag_overrides" by (flag: String, organisation_id: String) {
        flag: String,
        organisation_id: String,
        is_on: bool,
        set_at: At,
    }
}

async fn select(
    pool: &PgPool,
    flag: Option<&str>,
    (before, limit): (i64, i64),
) -> Result<Vec<Flag>, QueryError> {
    let rows = sqlx::query!(
        r#"SELECT flag, position, description, percentage, defined_at AS "defined_at: At",
             changed_at AS "changed_at: At", archived_at AS "archived_at: At"
           FROM operations_feature_flags
           WHERE ($1::text IS NULL OR flag = $1) AND position < $2
           ORDER BY position DESC LIMIT $3"#,
        flag,
        before,
        limit,
    );
    let rows = rows.fetch_all(pool).await?;
    let flags: Vec<String> = rows.iter().map(|row| row.flag.clone()).collect();
    let overrides = overrides(pool, &flags).await?;
    let flags = rows.into_iter().map(|row| Flag {
        overrides: overrides.iter().filter(|one| one.flag == row.flag).cloned().collect(),
        flag: row.flag,
        position: row.position,
        description: row.description,
        percentage: row.percentage,
        defined_at: row.defined_at,
        changed_at: row.changed_at,
        archived_at: row.archived_at,
    });
    Ok(flags.collect())
}

async fn overrides(pool: &PgPool, flags: &[String]) -> Result<Vec<Override>, QueryError> {
    let rows = sqlx::query_as!(
        Override,
        r#"SELECT flag, organisation_id, is_on, set_at AS "set_at: At"
           FROM operations_feature_flag_overrides WHERE flag = ANY ($1)
           ORDER BY flag, organisation_id"#,
        flags,
    );
    Ok(rows.fetch_all(pool).await?)
}

/// One flag, archived or not.
///
/// # Errors
/// [`QueryError`].
pub async fn get(pool: &PgPool, flag: &str) -> Result<Option<Flag>, QueryError> {
    Ok(select(pool, Some(flag), (i64::MAX, 1)).await?.pop())
}

/// Flags, the last defined first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    pool: &PgPool,
    after: Option<String>,
    limit: i64,
) -> Result<Page<Flag>, QueryError> {
    let rows = select(pool, None, (before(after)?, fetch_limit(limit))).await?;
    Ok(Page::of(rows, limit, |row| row.position))
}

/// Every flag that is not archived, as it decides, by its name.
///
/// # Errors
/// [`QueryError`].
pub async fn in_use(pool: &PgPool) -> Result<BTreeMap<String, FeatureFlag>, QueryError> {
    let flags = select(pool, None, (i64::MAX, i64::MAX)).await?;
    let flags = flags.into_iter().filter(|flag| flag.archived_at.is_none());
    Ok(flags.map(|flag| (flag.flag.clone(), flag.decides())).collect())
}

impl Flag {
    fn decides(self) -> FeatureFlag {
        let by_name = |one: Override| Some((one.organisation_id.parse().ok()?, one.is_on));
        FeatureFlag {
            flag: self.flag,
            description: self.description,
            percentage: u8::try_from(self.percentage).unwrap_or_default(),
            overrides: self.overrides.into_iter().filter_map(by_name).collect(),
            archived: self.archived_at.is_some(),
        }
    }
}
