//! E-mail to a server, over SMTP.
use std::path::Path;
use std::time::Duration;

use cairn_commands::ports::PortError;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{self, Certificate, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use crate::config::{SmtpPlace, Tls};
use crate::error::{config, undelivered};

/// For each command.
const COMMAND: Duration = Duration::from_secs(15);
/// For a message from the connection to its acceptance.
const MESSAGE: Duration = Duration::from_secs(60);

/// A server that takes e-mail; each message has a connection of its own.
#[derive(Debug)]
pub(crate) struct Smtp(AsyncSmtpTransport<Tokio1Executor>);

impl Smtp {
    pub fn try_new(place: SmtpPlace, ca: Option<&Path>) -> Result<Self, PortError> {
        let tls = match place.tls {
            Tls::Plain => client::Tls::None,
            Tls::Demanded => client::Tls::Required(parameters(&place.host, ca)?),
            Tls::Wrapped => client::Tls::Wrapper(parameters(&place.host, ca)?),
        };
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(place.host)
            .port(place.port)
            .tls(tls)
            .timeout(Some(COMMAND));
        let transport = match place.login {
            Some((name, password)) => transport.credentials(Credentials::new(name, password)),
            None => transport,
        };
        Ok(Self(transport.build()))
    }

    pub async fn send(&self, message: &Message, to: &str) -> Result<(), PortError> {
        let bytes = message.formatted();
        let sending = self.0.send_raw(message.envelope(), &bytes);
        match tokio::time::timeout(MESSAGE, sending).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(undelivered(&error, to)),
            Err(_) => Err(PortError::transient("mail_unreachable", "the server is too slow")),
        }
    }
}

/// Whom we believe: the public authorities, and those in the file.
fn parameters(host: &str, ca: Option<&Path>) -> Result<TlsParameters, PortError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = ca {
        let named = |why: &dyn std::fmt::Display| config(format!("{}: {why}", path.display()));
        let pem = std::fs::read(path).map_err(|why| named(&why))?;
        let found = Certificate::from_pem(&pem).map_err(|why| named(&why))?;
        builder = builder.add_root_certificate(found);
    }
    builder.build().map_err(config)
}
