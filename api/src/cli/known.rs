//! A mistyped id would begin a wallet, or give a discount, of nobody's.
use cairn_core::OrganisationId;

use super::exit::{CliError, Exit};
use super::session::SessionParts;
use crate::organisations::{ASKED, is_known};

/// Refuses an organisation that there is not.
pub(super) async fn known(parts: &SessionParts, id: OrganisationId) -> Result<(), CliError> {
    parts.catch_up(&ASKED).await?;
    if is_known(parts.pool(), id).await? {
        return Ok(());
    }
    let unknown = format!("there is no organisation {id}");
    Err(CliError::new(Exit::NotFound, "unknown_organisation", unknown))
}
