//! The mail port.
use async_trait::async_trait;
use cairn_commands::ports::{Mail, MailPort, PortError};

use crate::config::{MailConfig, Place, Sender};
use crate::folder::Folder;
use crate::message::message;
use crate::smtp::Smtp;

/// Hands e-mail over.
#[derive(Debug)]
pub struct Mailer {
    from: Sender,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Smtp(Smtp),
    Folder(Folder),
}

impl Mailer {
    /// Reads the certificates; connects to nobody yet.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn try_new(config: MailConfig) -> Result<Self, PortError> {
        let way = match config.place {
            Place::Smtp(place) => Way::Smtp(Smtp::try_new(place, config.ca.as_deref())?),
            Place::Folder(path) => Way::Folder(Folder(path)),
        };
        Ok(Self { from: config.from, way })
    }

    /// Keeps it in the folder `mail` of a data directory.
    #[must_use]
    pub fn within(data: &std::path::Path) -> Self {
        let way = Way::Folder(Folder(data.join(crate::config::FOLDER)));
        Self { from: Sender::default(), way }
    }
}

#[async_trait]
impl MailPort for Mailer {
    async fn send(&self, mail: Mail) -> Result<(), PortError> {
        let message = message(&self.from, &mail)?;
        match &self.way {
            Way::Smtp(smtp) => smtp.send(&message, &mail.to).await,
            Way::Folder(folder) => folder.keep(&mail.message_id, message.formatted()).await,
        }
    }
}
