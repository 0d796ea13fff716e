//! Which tax is on what is sold, and where: asked by finance.
//!
//! One row of `catalog_taxes` is one version of a jurisdiction's table.
use async_trait::async_trait;
use cairn_catalog::TaxTableEvent;
use cairn_event_log::Recorded;
use serde::Serialize;
use sqlx::PgPool;

use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::{At, QueryError};

/// Name of this projection.
pub const NAME: &str = "catalog/taxes";

/// One version of a tax.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Tax {
    pub jurisdiction: String,
    pub version: i64,
    pub name: String,
    /// Millionths of the net amount.
    pub ppm: i64,
    pub inclusive: bool,
    pub reverse_charge: bool,
    pub effective_at: At,
    /// Whether new rentals pay it now.
    pub current: bool,
}

/// The projection.
pub struct Taxes;

#[async_trait]
impl Projection for Taxes {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &["catalog_taxes"]
    }

    fn interest(&self) -> Interest {
        Interest::of(&[TaxTableEvent::TYPES])
    }

    fn splits_by_key(&self) -> bool {
        true
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        let TaxTableEvent::RateSet { jurisdiction, tax, .. } = event.decode()?;
        changes.insert(TaxRow {
            jurisdiction,
            version: i64::from(tax.version),
            name: tax.name,
            ppm: i64::from(tax.ppm),
            inclusive: tax.inclusive,
            reverse_charge: tax.reverse_charge,
            effective_at: At(tax.effective_at),
        });
        Ok(())
    }
}

row! {
    /// One version.
    pub(crate) struct TaxRow in "catalog_taxes" by (jurisdiction: String, version: i64) {
        jurisdiction: String,
        version: i64,
        name: String,
        ppm: i64,
        inclusive: bool,
        reverse_charge: bool,
        effective_at: At,
    }
}

/// Every version, by jurisdiction, the latest first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(pool: &PgPool) -> Result<Vec<Tax>, QueryError> {
    let rows = sqlx::query_as!(
        Tax,
        r#"SELECT jurisdiction, version, name, ppm, inclusive, reverse_charge, effective_at AS "effective_at: At",
             version = (SELECT c.version FROM catalog_taxes c
                        WHERE c.jurisdiction = t.jurisdiction AND c.effective_at <= now()
                        ORDER BY c.effective_at DESC, c.version DESC LIMIT 1) IS TRUE AS "current!"
           FROM catalog_taxes t ORDER BY jurisdiction, effective_at DESC, version DESC"#
    );
    Ok(rows.fetch_all(pool).await?)
}
