//! A message as it is on the wire.
use cairn_commands::ports::{Attachment, Mail, PortError};
use lettre::Message;
use lettre::message::header::ContentType;
use lettre::message::{self, Mailbox, MultiPart, SinglePart};

use crate::config::Sender;
use crate::error::malformed;

/// Writes a message down. Every attempt comes out alike but for the time.
pub(crate) fn message(from: &Sender, mail: &Mail) -> Result<Message, PortError> {
    check("message id", &mail.message_id)?;
    if mail.subject.contains(['\r', '\n']) {
        return Err(malformed("subject", "is more than one line"));
    }
    let to: Mailbox = mail.to.parse().map_err(|why| malformed("to", why))?;
    let message = Message::builder()
        .message_id(Some(format!("<{}@{}>", mail.message_id, from.0.email.domain())))
        .from(from.0.clone())
        .to(to)
        .subject(mail.subject.clone());
    let message = if mail.attachments.is_empty() {
        message.header(ContentType::TEXT_PLAIN).body(mail.text.clone())
    } else {
        message.multipart(with_files(mail)?)
    };
    message.map_err(|why| malformed("message", why))
}

/// The text, and each file after it.
fn with_files(mail: &Mail) -> Result<MultiPart, PortError> {
    // Not by chance, so that every attempt has it; no text of ours has a line that begins like this.
    let boundary = format!("=_{}", mail.message_id);
    let text = SinglePart::plain(mail.text.clone());
    let mut parts = MultiPart::mixed().boundary(boundary).singlepart(text);
    for Attachment { name, media_type, bytes } in &mail.attachments {
        check("name of a file", name)?;
        let kind = ContentType::parse(media_type).map_err(|why| malformed("media type", why))?;
        parts = parts.singlepart(message::Attachment::new(name.clone()).body(bytes.clone(), kind));
    }
    Ok(parts)
}

/// It stands in a header, and perhaps in the name of a file.
fn check(what: &str, name: &str) -> Result<(), PortError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fine = !name.is_empty() && !name.starts_with('.') && name.chars().all(plain);
    fine.then_some(()).ok_or_else(|| malformed(what, "is not letters, digits, - _ ."))
}

#[cfg(test)]
mod tests {
    use cairn_commands::ports::{Attachment, Mail};

    use super::message;
    use crate::config::Sender;

    fn mail() -> Mail {
        Mail {
            message_id: "welcome-1".to_owned(),
            to: "ada@example.org".to_owned(),
            subject: "Grüße".to_owned(),
            text: "One line.\nAnother: ä.\n.\n".to_owned(),
            attachments: vec![],
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

    fn with_file(name: &str) -> Mail {
        let (name, bytes) = (name.to_owned(), b"%PDF-1.7 \x00\xff".to_vec());
        Mail {
            attachments: vec![Attachment { name, media_type: "application/pdf", bytes }],
            ..mail()
        }
    }

    #[test]
    fn a_file_comes_after_the_text_in_every_attempt_alike() {
        let without_date = || {
            let formatted = message(&Sender::default(), &with_file("CN-1.pdf")).unwrap();
            let text = String::from_utf8(formatted.formatted()).unwrap();
            text.lines().filter(|line| !line.starts_with("Date:")).collect::<Vec<_>>().join("\n")
        };
        let text = without_date();
        assert_eq!(text, without_date());
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
        assert!(at("multipart/mixed") < at("text/plain") && at("text/plain") < at("base64"));
        at("Content-Disposition: attachment; filename=\"CN-1.pdf\"");
        at("Content-Type: application/pdf");
        at("JVBERi0xLjcgAP8=");
        at("--=_welcome-1--");
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
            with_file("a\"\r\nBcc: eve@example.org"),
            with_file("../../etc/passwd"),
        ];
        for mail in wrong {
            let refused = message(&Sender::default(), &mail).unwrap_err();
            assert_eq!(refused.code, "mail_malformed", "{} {}", mail.to, mail.subject);
        }
    }
}
