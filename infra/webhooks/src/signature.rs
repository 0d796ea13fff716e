//! The signature of Standard Webhooks 1.0.0: HMAC-SHA-256 over id, instant and body, one for each secret.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

const PREFIX: &str = "whsec_";

/// The value of `webhook-signature`; `None` when a secret is none.
#[must_use]
pub fn signature(id: &str, seconds: i64, body: &str, secrets: &[String]) -> Option<String> {
    let said = format!("{id}.{seconds}.{body}");
    let one = |secret: &String| {
        let key = STANDARD.decode(secret.strip_prefix(PREFIX)?).ok()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
        mac.update(said.as_bytes());
        Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    };
    let signed: Option<Vec<String>> = secrets.iter().map(one).collect();
    signed.filter(|signed| !signed.is_empty()).map(|signed| signed.join(" "))
}

#[cfg(test)]
mod tests {
    use super::signature;

    #[test]
    fn what_is_signed_is_what_the_standard_signs() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let theirs = standardwebhooks::Webhook::new(secret).unwrap();
        let (id, at, body) = ("msg_1", 1_614_265_330, r#"{"test": 2432232314}"#);
        let expected = theirs.sign(id, at, body.as_bytes()).unwrap();
        assert_eq!(signature(id, at, body, &[secret.to_owned()]), Some(expected.clone()));
        let both = signature(id, at, body, &[secret.to_owned(), "whsec_AAAA".to_owned()]).unwrap();
        let (first, second) = both.split_once(' ').unwrap();
        assert_eq!(first, expected);
        assert!(second.starts_with("v1,") && second != first);
        assert_eq!(signature(id, at, body, &["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()]), None);
        assert_eq!(signature(id, at, body, &[]), None);
    }
}
