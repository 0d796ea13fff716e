//! Who issues invoices, and whom they are made out to.
use cairn_core::OrganisationId;
use cairn_core::personal::ERASED;
use cairn_finance::{Billing, BillingCommand, Customer, Issuer, LegalEntity, LegalEntityCommand};
use serde_json::json;

use super::FinanceError;
use crate::answers::refused;
use crate::{CommandContext, Commands, ExecuteError, Executed, Executor};

/// Says who issues, and what its numbers begin with. Answers `{"code"}`.
///
/// # Errors
/// `legal_entity_invalid`.
pub async fn set(
    commands: &Commands,
    context: &CommandContext,
    (issuer, series): (Issuer, String),
) -> Result<Executed, ExecuteError> {
    let (code, result) = (issuer.code.clone(), json!({ "code": issuer.code }));
    let set = LegalEntityCommand::Set { issuer, series, at: commands.clock.now() };
    commands.executor.execute::<LegalEntity>(&code, set, context, result).await
}

/// Every legal entity, the one that organisations belong to first.
///
/// # Errors
/// [`FinanceError`].
pub async fn all(executor: &Executor) -> Result<Vec<LegalEntity>, FinanceError> {
    let codes = sqlx::query_scalar!(
        "SELECT aggregate_id FROM events WHERE aggregate_type = 'legal_entity' AND sequence = 1 ORDER BY position"
    );
    let codes = codes.fetch_all(executor.log().pool()).await?;
    let mut entities = vec![];
    for code in codes {
        entities.push(executor.load::<LegalEntity>(&code).await?.0);
    }
    Ok(entities)
}

/// The one that organisations belong to, and its series.
pub(super) async fn default(executor: &Executor) -> Result<(Issuer, String), FinanceError> {
    let first = all(executor).await?.into_iter().next();
    let first = first.and_then(|entity| Some((entity.issuer?, entity.series)));
    let missing = || {
        let why = "nobody has said who issues: `cairn finance entity set` does";
        FinanceError::Case(refused("legal_entity_missing", why))
    };
    first.ok_or_else(missing)
}

/// Says whom an organisation's invoices are made out to. Answers `{"organisation_id"}`.
///
/// # Errors
/// `billing_details_invalid`, `subject_erased`.
pub async fn set_billing(
    commands: &Commands,
    context: &CommandContext,
    (organisation_id, customer): (OrganisationId, Customer),
) -> Result<Executed, ExecuteError> {
    let (stream, result) =
        (organisation_id.to_string(), json!({ "organisation_id": organisation_id }));
    let set = BillingCommand::Set { organisation_id, customer, at: commands.clock.now() };
    commands.executor.execute::<Billing>(&stream, set, context, result).await
}

/// Whom its invoices are made out to, opened; `None` when nobody said, or it was erased.
///
/// # Errors
/// [`FinanceError`].
pub async fn customer(
    executor: &Executor,
    organisation_id: OrganisationId,
) -> Result<Option<Customer>, FinanceError> {
    let (billing, _) = executor.load::<Billing>(&organisation_id.to_string()).await?;
    let Some(mut customer) = billing.customer else { return Ok(None) };
    let Customer { name, address, country: _, tax_id, email } = &mut customer;
    for text in [name, address, tax_id, email] {
        match executor.personal().open(text).await? {
            Some(plain) if plain != ERASED => *text = plain,
            _ => return Ok(None),
        }
    }
    Ok(Some(customer))
}
