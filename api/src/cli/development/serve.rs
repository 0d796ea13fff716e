//! `cairn dev` and `cairn serve --dev`: the server, with what stands in for the neighbours that nobody has named.
use cairn_identity::Role;
use cairn_projections::identity::api_keys;
use cairn_webhooks::Strangers;

use crate::cli::exit::CliError;
use crate::cli::keys;
use crate::cli::output::Output;
use crate::cli::reload::Reloads;
use crate::cli::serve::{self, Around, log_to_stderr};
use crate::cli::session::SessionParts;
use crate::config::{Config, Reading, Sources};
use crate::outside::{self, OutsideError, Payments};
use crate::stand_ins::{Simulated, kept_mail};
use crate::wiring::Outside;

/// `cairn serve --dev`
pub(in crate::cli) async fn serve(
    config: &Config,
    (sources, reading): (&Sources, Reading),
    output: Output,
) -> Result<(), CliError> {
    let filter = log_to_stderr(&config.log);
    let reloads = Reloads::new(sources, reading, filter)?;
    serve::run((config, StandIns::default()), Some(reloads), output, async |_, _| Ok(())).await
}

/// Ends with its terminal: there SIGHUP means that nobody is left.
pub(super) async fn dev(config: &Config, output: Output) -> Result<(), CliError> {
    let _ = log_to_stderr(&config.log);
    serve::run((config, StandIns::default()), None, output, greet).await
}

/// The simulator where no provider is named, a folder where no mail server is, and endpoints of webhooks on this machine.
#[derive(Default)]
struct StandIns {
    provider: Option<Simulated>,
}

impl Around for StandIns {
    const IN_DEVELOPMENT: bool = true;

    async fn payments(&mut self, config: &Config) -> Result<Payments, OutsideError> {
        if config.stripe.is_some() {
            return outside::payments(config);
        }
        let simulated = self.provider.insert(Simulated::start(&config.data).await?);
        Ok(simulated.payments.clone())
    }

    fn change(&self, config: &Config, outside: &mut Outside) -> Result<(), OutsideError> {
        if config.mail.is_none() {
            outside.mail = kept_mail(&config.data);
        }
        outside.webhooks = outside::webhooks(Strangers::PublicAndLoopback)?;
        Ok(())
    }

    fn reached_at(&self, url: &str) {
        if let Some(simulated) = &self.provider {
            simulated.deliver_to(url);
        }
    }

    async fn end(self, config: &Config) {
        if let Some(simulated) = self.provider {
            simulated.shutdown(&config.data).await;
        }
    }
}

/// Prints an operator's and a customer's key, the first time.
async fn greet(parts: &SessionParts, output: Output) -> Result<(), CliError> {
    parts.catch_up(&[api_keys::NAME]).await?;
    if !api_keys::list(parts.pool(), (None, None), None, 1).await?.items.is_empty() {
        output.say("Keys were made before; `cairn keys create` makes more.");
        return Ok(());
    }
    let operator =
        keys::create(parts, Role::PlatformOperator, "dev operator".to_owned(), (None, None))
            .await?;
    let customer =
        keys::create(parts, Role::Owner, "dev customer".to_owned(), (None, None)).await?;
    output.one(&serde_json::json!({
        "operator_key": operator.secret.expose(),
        "customer_key": customer.secret.expose(),
        "customer_organisation_id": customer.organisation_id,
    }))
}
