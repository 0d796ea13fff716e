//! Invoices and credit notes as files that people and their programs open.
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use cairn_core::Subject;
use cairn_projections::finance::papers as view;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::opened::unopened;
use super::reader::{AsksPosition, Reader};
use super::state::Api;
use crate::papers::{DocumentError, DocumentFormat, Issued};
use crate::problem::{Missing, Problem};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_invoice_document))
}

/// Query of a document.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DocumentQuery {
    /// Wait until the views have reached this position of the log (as answered in `Cairn-Position`).
    pub min_position: Option<i64>,
    /// What the document is; `pdf` when absent. The others hold its lines.
    #[param(inline)]
    pub format: Option<DocumentFormat>,
}

impl AsksPosition for DocumentQuery {
    fn min_position(&self) -> Option<i64> {
        self.min_position
    }
}

impl From<DocumentError> for Problem {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Paper(error) => error.into(),
            DocumentError::Sealed(error) => unopened(&error, false),
            DocumentError::Pdf(error) => Self::internal(&error.to_string()),
            DocumentError::Sheet(error) => Self::internal(&error.to_string()),
        }
    }
}

/// One invoice or credit note as a file: the same one every time it is asked for, until its customer is erased.
#[utoipa::path(get, path = "/v1/invoices/{number}/document", operation_id = "get_invoice_document", tag = "ledger",
    params(("number" = String, Path, description = "`CN-2026-000001`"), DocumentQuery),
    security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "The file, to be saved", content(
            (String = "application/pdf"),
            (String = "text/csv"),
            (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
            (String = "application/vnd.apache.parquet")),
        headers(("Content-Disposition" = String, description = "`attachment`, and what to call it")))))]
async fn get_invoice_document(
    State(api): State<Api>,
    reader: Reader<DocumentQuery>,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let at = reader.reach(&api, view::NAME).await?;
    // Who may see the row may see the paper.
    let row = view::get(&mut *api.read_for(&reader.caller).await?, &number).await?;
    let row = row.ok_or_else(|| Problem::missing(Missing::Invoice))?;
    let own = reader.caller.narrowed_to().map(Subject::organisation);
    let issued = Issued::open(&api.commands.executor, &row.number, own.as_ref()).await?;
    let format = reader.query.format.unwrap_or_default();
    let drawn = tokio::task::spawn_blocking(move || issued.document(format)).await;
    let bytes = drawn.map_err(|error| Problem::internal(&error.to_string()))??;
    let disposition = format!("attachment; filename=\"{}.{}\"", row.number, format.name());
    let disposition = HeaderValue::from_str(&disposition);
    let disposition = disposition.map_err(|error| Problem::internal(&error.to_string()))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(format.media_type())),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok(at.file((headers, bytes).into_response()))
}
