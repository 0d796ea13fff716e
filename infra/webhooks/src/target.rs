//! Which addresses may be called at all, before any name is looked up.
use std::net::IpAddr;

use reqwest::Url;

use crate::address::{is_loopback, is_public};

/// Ports that webhooks are received at.
const PORTS: [u16; 2] = [443, 8443];

/// Whom this server calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strangers {
    /// Whoever is on the public internet, by HTTPS.
    #[default]
    Public,
    /// This machine besides, at any port and without TLS: for development and tests.
    PublicAndLoopback,
}

impl Strangers {
    /// Whether a connection may be made to this address.
    pub(crate) fn admits(self, address: IpAddr) -> bool {
        is_public(address) || (self == Self::PublicAndLoopback && is_loopback(address))
    }

    /// A URL that may be called; why not, for the customer who wants it.
    pub(crate) fn target(self, text: &str) -> Result<Url, &'static str> {
        let url: Url = text.parse().map_err(|_| "it is no URL")?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it must not hold a name or a password");
        }
        if url.fragment().is_some() {
            return Err("it must not have a fragment");
        }
        let host = url.host_str().ok_or("it names no host")?;
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        let is_here = address.map_or(host == "localhost", is_loopback);
        if is_here && self == Self::PublicAndLoopback {
            return matches!(url.scheme(), "http" | "https").then_some(url).ok_or("it is not HTTP");
        }
        if url.scheme() != "https" {
            return Err("it must begin with https://");
        }
        if !url.port_or_known_default().is_some_and(|port| PORTS.contains(&port)) {
            return Err("its port must be 443 or 8443");
        }
        match address {
            Some(address) if !self.admits(address) => Err("it is not on the public internet"),
            None if is_local(host) => Err("it is not on the public internet"),
            _ => Ok(url),
        }
    }
}

/// Names that lead nowhere outside.
fn is_local(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    let ends = [".localhost", ".local", ".internal", ".home.arpa"];
    !host.contains('.') || ends.iter().any(|end| host.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::Strangers;

    #[test]
    fn only_public_addresses_by_https_may_be_called() {
        let fine = [
            "https://example.org/hook?token=1",
            "https://hooks.example.org:8443/",
            "https://8.8.8.8/",
            "https://[2606:4700::1111]/",
        ];
        for url in fine {
            assert!(Strangers::Public.target(url).is_ok(), "{url}");
        }
        let wrong = [
            "",
            "example.org",
            "http://example.org/",
            "ftp://example.org/",
            "file:///etc/passwd",
            "https://user@example.org/",
            "https://example.org:22/",
            "https://example.org:8080/",
            "https://example.org/#here",
            "https://localhost/",
            "https://cairn/",
            "https://a.localhost/",
            "https://metadata.google.internal/",
            "https://printer.local./",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:7f00:1]/",
            "https://169.254.169.254/",
            "https://10.0.0.1/",
            "https://[fd00::1]/",
        ];
        for url in wrong {
            assert!(Strangers::Public.target(url).is_err(), "{url}");
        }
    }

    #[test]
    fn this_machine_may_be_called_only_where_that_is_said() {
        for url in ["http://127.0.0.1:8000/", "http://localhost:8000/", "http://[::1]:8000/"] {
            assert!(Strangers::Public.target(url).is_err(), "{url}");
            assert!(Strangers::PublicAndLoopback.target(url).is_ok(), "{url}");
        }
        for url in ["http://10.0.0.1/", "http://example.org/", "https://[::ffff:127.0.0.1]/"] {
            assert!(Strangers::PublicAndLoopback.target(url).is_err(), "{url}");
        }
    }
}
