//! How to reach Stripe. Secrets never show in `Debug`.
use std::fmt;

/// Keys and address of a Stripe account, or of something that speaks like one.
#[derive(Clone, Default)]
pub struct StripeConfig {
    /// `sk_…` or `rk_…`.
    pub secret_key: String,
    /// Where the API is; Stripe's own when absent.
    pub api_base: Option<String>,
    /// `whsec_…`; several while one is being rotated.
    pub webhook_secrets: Vec<String>,
}

impl fmt::Debug for StripeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripeConfig")
            .field("secret_key", &"…")
            .field("api_base", &self.api_base)
            .field("webhook_secrets", &format_args!("{} of them", self.webhook_secrets.len()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::StripeConfig;

    #[test]
    fn debug_never_shows_a_secret() {
        let config = StripeConfig {
            secret_key: "sk_test_hush".to_owned(),
            api_base: None,
            webhook_secrets: vec!["whsec_hush".to_owned()],
        };
        assert!(!format!("{config:?}").contains("hush"));
    }
}
