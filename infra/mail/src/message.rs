//! A message as it is on the wire.
use cairn_commands::ports::{Mail, PortError};
use lettre::Message;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;

use crate::config::Sender;
use crate::error::malformed;

/// Writes a message down. Every attempt comes out alike but for the time.
pub(crate) fn message(from: &Sender, mail: &Mail) -> Result<Message, PortError> {
    check_id(&mail.message_id)?;
    if mail.subject.contains(['\r', '\n']) {
        return Err(malformed("subject", "is more than one line"));
    }
    let to: Mailbox = mail.to.parse().map_err(|why| malformed("to", why))?;
    Message::builder()
        .message_id(Some(format!("<{}@{}>", mail.message_id, from.0.email.domain())))
        .from(from.0.clone())
        .to(to)
        .subject(mail.subject.clone())
        .header(ContentType::TEXT_PLAIN)
        .body(mail.text.clone())
        .map_err(|why| malformed("message", why))
}

/// It stands in a header and in the name of a file.
fn check_id(id: &str) -> Result<(), PortError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fine = !id.is_empty() && !id.starts_with('.') && id.chars().all(plain);
    fine.then_some(()).ok_or_else(|| malformed("message id", "is not letters, digits, - _ ."))
}

#[cfg(test)]
mod tests {
    use cairn_commands::ports::Mail;

    use super::message;
    use crate::config::Sender;

    fn mail() -> Mail {
        Mail {
            message_id: "welcome-1".to_owned(),
            to: "ada@example.org".to_owned(),
            subject: "Grüße".to_owned(),
            text: "One line.\nAnother: ä.\n.\n".to_owned(),
        }
    }

    #[test]
    fn every_attempt_bears_the_same_message_id() {
        for _ in 0..2 {
            let formatted = message(&Sender::default(), &mail()).unwrap().formatted();
            let text = String::from_utf8(formatted).unwrap();
            assert!(text.contains("Message-ID: <welcome-1@localhost>\r\n"), "{text}");
        }
    }

    #[test]
    fn nobody_adds_a_header() {
        let wrong = [
            Mail { subject: "Hello\r\nBcc: eve@example.org".to_owned(), ..mail() },
            Mail { to: "ada@example.org\r\nBcc: eve@example.org".to_owned(), ..mail() },
            Mail { to: "ada@example.org, eve@example.org".to_owned(), ..mail() },
            Mail { message_id: "1>\r\nBcc: eve@example.org".to_owned(), ..mail() },
            Mail { message_id: "../../etc/passwd".to_owned(), ..mail() },
            Mail { message_id: String::new(), ..mail() },
        ];
        for mail in wrong {
            let refused = message(&Sender::default(), &mail).unwrap_err();
            assert_eq!(refused.code, "mail_malformed", "{} {}", mail.to, mail.subject);
        }
    }
}
