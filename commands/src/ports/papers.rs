//! Papers as people keep them.
use async_trait::async_trait;
use cairn_core::OrganisationId;

use super::PortError;

/// Draws invoices and credit notes.
#[async_trait]
pub trait PaperPort: Send + Sync {
    /// The PDF of the paper with a number, with the personal texts of an organisation open: the file that the organisation gets when it
    /// asks for it.
    async fn pdf(
        &self,
        number: &str,
        organisation_id: OrganisationId,
    ) -> Result<Vec<u8>, PortError>;
}
