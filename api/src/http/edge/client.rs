//! The address of whoever asks. What a proxy says of it counts only if the proxy is one of ours.
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Once;

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// Said once: strangers may write the header as often as they like.
static STRANGER: Once = Once::new();

/// The address a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client(pub IpAddr);

impl Client {
    /// The last address on the way here that is not one of our proxies: whatever stands before it anybody may have written.
    #[must_use]
    pub fn find(extensions: &Extensions, headers: &HeaderMap, proxies: &[IpNet]) -> Option<Self> {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip().to_canonical();
        let is_ours = |address: &IpAddr| proxies.iter().any(|network| network.contains(address));
        if !is_ours(&peer) {
            if headers.contains_key(FORWARDED_FOR) {
                STRANGER.call_once(|| {
                    tracing::warn!(%peer, "what it says of who came to it is not believed: is it a proxy for CAIRN_TRUSTED_PROXIES?");
                });
            }
            return Some(Self(peer));
        }
        let values = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
        let said: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
        let mut client = peer;
        for text in said.into_iter().rev() {
            let Ok(address) = text.parse::<IpAddr>() else { break };
            client = address.to_canonical();
            if !is_ours(&client) {
                break;
            }
        }
        Some(Self(client))
    }

    /// As the guard found it.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<IpAddr> {
        extensions.get::<Self>().map(|client| client.0)
    }

    /// Whom a quota counts: a house is given a whole network of IPv6 addresses, and has as many as it likes.
    #[must_use]
    pub fn subject(&self) -> String {
        match self.0 {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                format!("{}/64", Ipv6Addr::from_bits(network))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::extract::ConnectInfo;
    use axum::http::{Extensions, HeaderMap, HeaderValue};
    use ipnet::IpNet;

    use super::Client;

    fn found(peer: &str, said: &[&'static str]) -> String {
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        let mut headers = HeaderMap::new();
        for value in said {
            headers.append("x-forwarded-for", HeaderValue::from_static(value));
        }
        let proxies: [IpNet; 2] = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        Client::find(&extensions, &headers, &proxies).unwrap().0.to_string()
    }

    #[test]
    fn only_our_proxies_are_believed_and_only_about_who_came_to_them() {
        let stranger = "192.0.2.7:5";
        assert_eq!(found(stranger, &["203.0.113.1"]), "192.0.2.7", "anybody can write that");
        assert_eq!(found("10.0.0.1:5", &["203.0.113.1"]), "203.0.113.1");
        assert_eq!(found("10.0.0.1:5", &["1.1.1.1, 203.0.113.1, 10.0.0.2"]), "203.0.113.1");
        assert_eq!(found("10.0.0.1:5", &["1.1.1.1, 203.0.113.1", "fd00::2"]), "203.0.113.1");
        assert_eq!(found("10.0.0.1:5", &["203.0.113.1, me"]), "10.0.0.1", "that is no address");
        assert_eq!(found("10.0.0.1:5", &[]), "10.0.0.1");
        assert_eq!(found("[::ffff:10.0.0.1]:5", &["::ffff:203.0.113.1"]), "203.0.113.1");
    }

    #[test]
    fn a_network_of_ipv6_is_one_subject() {
        let subject = |text: &str| Client(text.parse().unwrap()).subject();
        assert_eq!(subject("2001:db8:1:2:3::4"), subject("2001:db8:1:2:ffff::1"));
        assert_ne!(subject("2001:db8:1:2::1"), subject("2001:db8:1:3::1"));
        assert_ne!(subject("192.0.2.1"), subject("192.0.2.2"));
    }
}
