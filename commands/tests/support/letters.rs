//! Where letters go in stories, and the papers that come with them.
use std::sync::Mutex;

use async_trait::async_trait;
use cairn_commands::ports::{Mail, MailPort, PaperPort, PortError};
use cairn_core::OrganisationId;

/// The mail server: it takes everything, and knows what it was handed.
#[derive(Debug, Default)]
pub struct Letters(Mutex<Vec<String>>);

impl Letters {
    /// Whether a message of this id came, however often.
    pub fn came(&self, message_id: &str) -> bool {
        self.0.lock().unwrap().iter().any(|known| known == message_id)
    }
}

#[async_trait]
impl MailPort for Letters {
    async fn send(&self, mail: Mail) -> Result<(), PortError> {
        self.0.lock().unwrap().push(mail.message_id);
        Ok(())
    }
}

/// Draws nothing but the number.
#[derive(Debug)]
pub struct Blanks;

/// What stands in for the file of a paper.
pub fn blank(number: &str) -> Vec<u8> {
    [b"%PDF \x00\xff ", number.as_bytes()].concat()
}

#[async_trait]
impl PaperPort for Blanks {
    async fn pdf(&self, number: &str, _: OrganisationId) -> Result<Vec<u8>, PortError> {
        Ok(blank(number))
    }
}
