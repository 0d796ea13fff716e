//! The mail port against a server that speaks SMTP over TCP.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod server;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use cairn_commands::ports::{FailureKind, Mail, MailPort as _};
use cairn_mail::{MailConfig, Mailer, Sender};

use crate::server::{MailServer, Manners, PASSWORD};

fn mail() -> Mail {
    Mail {
        message_id: "welcome-1".to_owned(),
        to: "ada@example.org".to_owned(),
        subject: "Grüße".to_owned(),
        text: "Hello Ada,\n.a line that begins with a dot\n".to_owned(),
        attachments: vec![],
    }
}

/// Sends to a server by this URL; `{}` is its port.
fn mailer(server: &MailServer, url: &str, trusted: bool) -> Mailer {
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), &server.ca).unwrap();
    let place = url.replace("{}", &server.port.to_string()).parse().unwrap();
    let ca_path = trusted.then(|| ca.path().to_owned());
    Mailer::try_new(MailConfig { place, from: Sender::default(), ca: ca_path }).unwrap()
}

const PLAIN: &str = "smtp://127.0.0.1:{}";
const DEMANDED: &str = "smtp://127.0.0.1:{}?tls=required";

fn sealed() -> Manners {
    Manners { starttls: true, ..Manners::default() }
}

fn answering(answers: &[(u16, &'static str)]) -> Manners {
    let answers = Arc::new(Mutex::new(VecDeque::from(answers.to_vec())));
    Manners { answers, ..Manners::default() }
}

#[tokio::test]
async fn a_message_is_delivered_once_and_as_it_is() {
    let server = MailServer::start(Manners::default()).await;
    mailer(&server, PLAIN, false).send(mail()).await.unwrap();
    let [text] = &server.texts()[..] else { panic!("{:?}", server.texts()) };
    assert!(text.contains("Message-ID: <welcome-1@localhost>\r\n"), "{text}");
    assert!(text.contains("To: ada@example.org\r\n"), "{text}");
    assert!(text.contains("From: Cairn <cairn@localhost>\r\n"), "{text}");
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.trim_end(), "Hello Ada,\r\n.a line that begins with a dot");
}

#[tokio::test]
async fn what_a_server_defers_is_worth_another_attempt() {
    let server = MailServer::start(answering(&[(451, "later")])).await;
    let mailer = mailer(&server, PLAIN, false);
    let deferred = mailer.send(mail()).await.unwrap_err();
    assert_eq!((deferred.kind, &*deferred.code), (FailureKind::Transient, "mail_deferred"));
    assert!(server.texts().is_empty());
    mailer.send(mail()).await.unwrap();
    assert_eq!(server.texts().len(), 1);
}

#[tokio::test]
async fn what_a_server_refuses_is_not_worth_another_attempt() {
    let says = "no mailbox ada@example.org here";
    let server = MailServer::start(answering(&[(550, says)])).await;
    let refused = mailer(&server, PLAIN, false).send(mail()).await.unwrap_err();
    assert_eq!((refused.kind, &*refused.code), (FailureKind::Permanent, "mail_refused"));
    assert!(refused.message.contains("no mailbox … here"), "{}", refused.message);
    assert_eq!(server.arrived.recipients.lock().unwrap().len(), 1, "the fault bit");
    assert!(server.texts().is_empty());
}

#[tokio::test]
async fn a_repeated_message_can_be_told_by_its_id() {
    let manners = Manners { hang_ups: Arc::new(Mutex::new(1)), ..Manners::default() };
    let server = MailServer::start(manners).await;
    let mailer = mailer(&server, PLAIN, false);
    let unknown = mailer.send(mail()).await.unwrap_err();
    assert_eq!((unknown.kind, &*unknown.code), (FailureKind::Transient, "mail_unreachable"));
    mailer.send(mail()).await.unwrap();
    let id =
        |text: &String| text.lines().find(|it| it.starts_with("Message-ID")).map(str::to_owned);
    let ids: Vec<_> = server.texts().iter().map(id).collect();
    assert_eq!(ids.len(), 2, "the fault bit");
    assert!(ids[0].is_some() && ids[0] == ids[1], "{ids:?}");
}

#[tokio::test]
async fn nothing_is_said_to_a_server_without_starttls_where_it_is_demanded() {
    let server = MailServer::start(Manners { wants_login: true, ..Manners::default() }).await;
    let url = "smtp://cairn:p%40ss@127.0.0.1:{}?tls=required";
    let refused = mailer(&server, url, true).send(mail()).await.unwrap_err();
    assert_eq!((refused.kind, &*refused.code), (FailureKind::Untrusted, "mail_unsealed"));
    assert_eq!(*server.arrived.logins.lock().unwrap(), 0);
    assert!(server.arrived.recipients.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let server = MailServer::start(sealed()).await;
    let refused = mailer(&server, DEMANDED, false).send(mail()).await.unwrap_err();
    assert_eq!((refused.kind, &*refused.code), (FailureKind::Untrusted, "mail_unsealed"));
    assert!(server.texts().is_empty());
    mailer(&server, DEMANDED, true).send(mail()).await.unwrap();
    assert_eq!(server.texts().len(), 1);
}

#[tokio::test]
async fn a_login_is_said_under_tls_only_and_a_wrong_one_spoils_no_message() {
    let server = MailServer::start(Manners { wants_login: true, ..sealed() }).await;
    let url = |password: &str| format!("smtp://cairn:{password}@127.0.0.1:{{}}?tls=required");
    let wrong = mailer(&server, &url("wrong"), true).send(mail()).await.unwrap_err();
    assert_eq!((wrong.kind, &*wrong.code), (FailureKind::Transient, "mail_login_refused"));
    mailer(&server, &url(&PASSWORD.replace('@', "%40")), true).send(mail()).await.unwrap();
    assert_eq!(*server.arrived.logins.lock().unwrap(), 2);
    assert_eq!(server.texts().len(), 1);
}

#[tokio::test]
async fn nobody_there_is_worth_another_attempt() {
    let server = MailServer::start(Manners::default()).await;
    let mailer = mailer(&server, PLAIN, false);
    drop(server);
    let gone = mailer.send(mail()).await.unwrap_err();
    assert_eq!((gone.kind, &*gone.code), (FailureKind::Transient, "mail_unreachable"));
}

#[tokio::test]
async fn a_folder_keeps_each_message_once() {
    let folder = tempfile::tempdir().unwrap();
    let mailer = Mailer::within(folder.path());
    for _ in 0..2 {
        mailer.send(mail()).await.unwrap();
    }
    let kept: Vec<_> = std::fs::read_dir(folder.path().join("mail")).unwrap().flatten().collect();
    let [kept] = &kept[..] else { panic!("{kept:?}") };
    assert_eq!(kept.file_name(), "welcome-1.eml");
    assert!(std::fs::read_to_string(kept.path()).unwrap().contains("Hello Ada,"));
}
