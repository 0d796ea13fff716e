//! Papers as they are sent: the file that the API answers with.
use async_trait::async_trait;
use cairn_commands::Executor;
use cairn_commands::ports::{PaperPort, PortError};
use cairn_core::{OrganisationId, Subject};

use super::{DocumentError, DocumentFormat, Issued};

/// Draws papers, as they are when it is asked.
pub struct Press(pub Executor);

#[async_trait]
impl PaperPort for Press {
    async fn pdf(
        &self,
        number: &str,
        organisation_id: OrganisationId,
    ) -> Result<Vec<u8>, PortError> {
        let own = Subject::organisation(organisation_id);
        let issued = Issued::open(&self.0, number, Some(&own)).await.map_err(unmade)?;
        let drawn = tokio::task::spawn_blocking(move || issued.document(DocumentFormat::Pdf)).await;
        let drawn = drawn.map_err(|error| PortError::transient("internal", error.to_string()))?;
        drawn.map_err(unmade)
    }
}

fn unmade(error: DocumentError) -> PortError {
    match error {
        DocumentError::Sealed(error) => error,
        DocumentError::Paper(error) => PortError::transient("paper_unread", error.to_string()),
        DocumentError::Pdf(_) | DocumentError::Sheet(_) => {
            PortError::permanent("paper_undrawn", error.to_string())
        }
    }
}
