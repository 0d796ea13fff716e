//! Where e-mail goes, and whom it comes from.
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lettre::message::Mailbox;
use url::{Host, Url};

/// How e-mail leaves.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// Where it goes.
    pub place: Place,
    /// Whom it comes from.
    pub from: Sender,
    /// A file of certificates, in PEM, that vouch for the server beside the public ones.
    pub ca: Option<PathBuf>,
}

impl MailConfig {
    /// Into the folder `mail` of a data directory.
    #[must_use]
    pub fn within(data: &Path) -> Self {
        Self { place: Place::Folder(data.join(FOLDER)), from: Sender::default(), ca: None }
    }
}

/// Where e-mail goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// To a server.
    Smtp(SmtpPlace),
    /// Into a folder, one file each.
    Folder(PathBuf),
}

/// A server that takes e-mail.
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpPlace {
    /// Name or address, as a certificate has it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What must be sealed.
    pub tls: Tls,
    /// Name and password.
    pub login: Option<(String, String)>,
}

/// Never shows the password.
impl std::fmt::Debug for SmtpPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, tls, .. } = self;
        write!(f, "SmtpPlace({host}:{port}, {tls:?})")
    }
}

/// What must be sealed on the way to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// From the first byte.
    Wrapped,
    /// From STARTTLS on, and nothing is said without it.
    Demanded,
    /// Nothing: the server is on this machine.
    Plain,
}

/// It cannot be read as what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// In a data directory.
pub(crate) const FOLDER: &str = "mail";

const SUBMISSION: u16 = 587;
const SUBMISSIONS: u16 = 465;

impl FromStr for Place {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let url: Url = text.parse().map_err(|_| Malformed)?;
        match url.scheme() {
            "file" if url.query().is_none() => {
                url.to_file_path().map(Self::Folder).map_err(|()| Malformed)
            }
            "smtp" | "smtps" if matches!(url.path(), "" | "/") => smtp(&url).map(Self::Smtp),
            _ => Err(Malformed),
        }
    }
}

fn smtp(url: &Url) -> Result<SmtpPlace, Malformed> {
    let (host, loopback) = host(url)?;
    let demanded = match url.query() {
        None => !loopback,
        Some("tls=required") => true,
        Some(_) => return Err(Malformed),
    };
    let (tls, port) = match (url.scheme(), demanded) {
        ("smtps", _) => (Tls::Wrapped, SUBMISSIONS),
        (_, true) => (Tls::Demanded, SUBMISSION),
        (_, false) => (Tls::Plain, SUBMISSION),
    };
    let port = url.port().unwrap_or(port);
    Ok(SmtpPlace { host, port, tls, login: login(url)? })
}

/// The host, and whether it is this machine. Schemes that are not the web's keep addresses of IPv4 as names.
fn host(url: &Url) -> Result<(String, bool), Malformed> {
    match url.host() {
        Some(Host::Domain(name)) if !name.is_empty() => {
            let address = name.parse::<IpAddr>().ok();
            let loopback = address.map_or(name == "localhost", |it| it.is_loopback());
            Ok((name.to_owned(), loopback))
        }
        Some(Host::Ipv4(address)) => Ok((address.to_string(), address.is_loopback())),
        Some(Host::Ipv6(address)) => Ok((address.to_string(), address.is_loopback())),
        _ => Err(Malformed),
    }
}

fn login(url: &Url) -> Result<Option<(String, String)>, Malformed> {
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", Some(_)) | (_, None) => Err(Malformed),
        (name, Some(password)) => Ok(Some((decoded(name)?, decoded(password)?))),
    }
}

/// Without the percent signs that a URL needs.
fn decoded(text: &str) -> Result<String, Malformed> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next().ok_or(Malformed)?, rest.next().ok_or(Malformed)?];
        let digits = std::str::from_utf8(&digits).map_err(|_| Malformed)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| Malformed)?);
    }
    String::from_utf8(bytes).map_err(|_| Malformed)
}

/// Whom e-mail comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender(pub(crate) Mailbox);

impl Default for Sender {
    fn default() -> Self {
        let parts = ("cairn".to_owned(), "localhost".to_owned());
        let address = lettre::Address::try_from(parts);
        Self(Mailbox::new(Some("Cairn".to_owned()), address.expect("an address")))
    }
}

impl FromStr for Sender {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        text.parse().map(Self).map_err(|_| Malformed)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Place, Sender, SmtpPlace, Tls};

    fn smtp(text: &str) -> Option<(String, u16, Tls)> {
        match text.parse() {
            Ok(Place::Smtp(SmtpPlace { host, port, tls, .. })) => Some((host, port, tls)),
            _ => None,
        }
    }

    #[test]
    fn starttls_is_demanded_of_everybody_but_this_machine() {
        let cases = [
            ("smtp://mail.example.org", "mail.example.org", 587, Tls::Demanded),
            ("smtp://192.0.2.1:25", "192.0.2.1", 25, Tls::Demanded),
            ("smtp://[2001:db8::1]", "2001:db8::1", 587, Tls::Demanded),
            ("smtp://127.0.0.1:25", "127.0.0.1", 25, Tls::Plain),
            ("smtp://127.0.0.1:25?tls=required", "127.0.0.1", 25, Tls::Demanded),
            ("smtp://[::1]:25", "::1", 25, Tls::Plain),
            ("smtp://localhost", "localhost", 587, Tls::Plain),
            ("smtp://localhost.example.org", "localhost.example.org", 587, Tls::Demanded),
            ("smtps://mail.example.org", "mail.example.org", 465, Tls::Wrapped),
            ("smtps://127.0.0.1:4650", "127.0.0.1", 4650, Tls::Wrapped),
        ];
        for (url, host, port, tls) in cases {
            assert_eq!(smtp(url), Some((host.to_owned(), port, tls)), "{url}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        let wrong = [
            "mail.example.org",
            "smtp://",
            "smtp://mail.example.org/name",
            "smtp://mail.example.org?tls=opportunistic",
            "smtp://user@mail.example.org",
            "smtp://user:%zz@mail.example.org",
            "http://mail.example.org",
            "file://elsewhere/srv/mail",
        ];
        for url in wrong {
            assert!(url.parse::<Place>().is_err(), "{url}");
        }
        assert_eq!("file:///srv/mail".parse(), Ok(Place::Folder(PathBuf::from("/srv/mail"))));
    }

    #[test]
    fn a_password_is_decoded_and_never_shown() {
        let place: Place = "smtp://me:p%40ss@mail.example.org".parse().unwrap();
        assert!(!format!("{place:?}").contains("p@ss"), "{place:?}");
        let Place::Smtp(place) = place else { panic!("{place:?}") };
        assert_eq!(place.login, Some(("me".to_owned(), "p@ss".to_owned())));
    }

    #[test]
    fn a_sender_is_an_address() {
        assert!("Cairn <cairn@example.org>".parse::<Sender>().is_ok());
        assert!("cairn".parse::<Sender>().is_err());
        assert_eq!("Cairn <cairn@localhost>".parse(), Ok(Sender::default()));
    }
}
