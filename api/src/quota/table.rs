//! How much of what anybody may ask for: one table of policies, and which of them each operation falls under.
use std::fmt;
use std::str::FromStr;

/// How often one subject may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Its name in the headers.
    pub name: &'static str,
    /// Requests in a window.
    pub quota: u32,
    /// Seconds of a window, which begins with its first request.
    pub seconds: u32,
}

/// What an operation costs, in the words of the policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Asked by whoever watches this server; never refused.
    Watched,
    /// Without a key: counted by address.
    Open,
    /// Proves who somebody is: counted by address, each operation by itself.
    SignIn,
    /// Of a provider, who says more at once than anybody: counted by address.
    Webhook,
    /// Reads, by key.
    Read,
    /// Changes, by key.
    Change,
    /// Sets machines in motion, by key.
    Deploy,
}

/// The operations that are not simply open, reading or changing.
const SPECIAL: &[(&str, Class)] = &[
    ("get_liveness", Class::Watched),
    ("get_readiness", Class::Watched),
    ("get_startup", Class::Watched),
    ("get_metrics", Class::Watched),
    ("receive_stripe_webhook", Class::Webhook),
    ("register_user", Class::SignIn),
    ("resend_code", Class::SignIn),
    ("request_password_reset", Class::SignIn),
    ("verify_email", Class::SignIn),
    ("reset_password", Class::SignIn),
    ("sign_in", Class::SignIn),
    ("request_device_code", Class::SignIn),
    ("look_up_device", Class::SignIn),
    ("approve_device", Class::SignIn),
    ("deny_device", Class::SignIn),
    ("surrender_key", Class::SignIn),
    ("request_erasure", Class::SignIn),
    ("export_person", Class::SignIn),
    ("begin_provider_sign_in", Class::SignIn),
    ("finish_provider_sign_in", Class::SignIn),
    ("begin_passkey_sign_in", Class::SignIn),
    ("finish_passkey_sign_in", Class::SignIn),
    ("begin_passkey", Class::SignIn),
    ("rename_passkey", Class::SignIn),
    ("remove_passkey", Class::SignIn),
    ("request_allocation", Class::Deploy),
    ("release_allocation", Class::Deploy),
    ("reprice_allocation", Class::Deploy),
    ("resize_allocation", Class::Deploy),
    ("correct_usage", Class::Deploy),
];

/// The class of an operation.
#[must_use]
pub fn class(operation: &str, is_open: bool, is_read: bool) -> Class {
    let special = SPECIAL.iter().find(|(name, _)| *name == operation).map(|(_, class)| *class);
    special.unwrap_or(match (is_open, is_read) {
        (true, _) => Class::Open,
        (false, true) => Class::Read,
        (false, false) => Class::Change,
    })
}

/// Every policy of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Whatever comes from one address, with or without a key.
    pub address: Policy,
    /// Keys from one address that are none.
    pub failures: Policy,
    /// [`Class::Open`].
    pub open: Policy,
    /// [`Class::SignIn`].
    pub sign_in: Policy,
    /// [`Class::Webhook`].
    pub webhook: Policy,
    /// [`Class::Read`].
    pub read: Policy,
    /// [`Class::Change`].
    pub change: Policy,
    /// [`Class::Deploy`].
    pub deploy: Policy,
}

impl Default for Rates {
    fn default() -> Self {
        let policy = |name, quota, seconds| Policy { name, quota, seconds };
        Self {
            address: policy("address", 6_000, 60),
            failures: policy("failures", 20, 900),
            open: policy("open", 60, 60),
            sign_in: policy("sign_in", 10, 900),
            webhook: policy("webhook", 1_000, 60),
            read: policy("read", 1_000, 60),
            change: policy("change", 300, 60),
            deploy: policy("deploy", 60, 60),
        }
    }
}

impl Rates {
    /// Policies that nobody reaches.
    #[must_use]
    pub fn generous() -> Self {
        let mut rates = Self::default();
        rates.all().into_iter().for_each(|policy| policy.quota = 1_000_000_000);
        rates
    }

    /// The policy of a class, and whether it counts by key; else it counts by address.
    #[must_use]
    pub const fn of(&self, class: Class) -> Option<(Policy, bool)> {
        match class {
            Class::Watched => None,
            Class::Open => Some((self.open, false)),
            Class::SignIn => Some((self.sign_in, false)),
            Class::Webhook => Some((self.webhook, false)),
            Class::Read => Some((self.read, true)),
            Class::Change => Some((self.change, true)),
            Class::Deploy => Some((self.deploy, true)),
        }
    }

    /// What the policies are called.
    #[must_use]
    pub fn names(mut self) -> [&'static str; 8] {
        self.all().map(|policy| policy.name)
    }

    fn all(&mut self) -> [&mut Policy; 8] {
        let Self { address, failures, open, sign_in, webhook, read, change, deploy } = self;
        [address, failures, open, sign_in, webhook, read, change, deploy]
    }
}

/// What does not say how much anybody may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RatesError;

impl fmt::Display for RatesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not such as read=1000/60,deploy=30/60")
    }
}

impl FromStr for Rates {
    type Err = RatesError;

    /// `read=1000/60,deploy=30/60`: requests and seconds of the policies that are not as usual; or `off`.
    fn from_str(text: &str) -> Result<Self, RatesError> {
        if text == "off" {
            return Ok(Self::generous());
        }
        let mut rates = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, rate) = part.split_once('=').ok_or(RatesError)?;
            let (quota, seconds) = rate.split_once('/').ok_or(RatesError)?;
            let number = |text: &str, most: u32| {
                let number = text.parse().ok().filter(|number| (1..=most).contains(number));
                number.ok_or(RatesError)
            };
            let known = rates.all().into_iter().find(|policy| policy.name == name);
            let policy = known.ok_or(RatesError)?;
            policy.quota = number(quota, 1_000_000_000)?;
            policy.seconds = number(seconds, 86_400)?;
        }
        Ok(rates)
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, Rates, class};

    #[test]
    fn what_is_written_is_as_written_and_the_rest_as_usual() {
        let rates: Rates = "read=5/7, failures=1/2".parse().unwrap();
        assert_eq!((rates.read.quota, rates.read.seconds), (5, 7));
        assert_eq!((rates.failures.quota, rates.failures.seconds), (1, 2));
        assert_eq!(
            (rates.address, rates.deploy),
            (Rates::default().address, Rates::default().deploy)
        );
        assert_eq!("".parse(), Ok(Rates::default()));
        assert_eq!("off".parse(), Ok(Rates::generous()));
        for wrong in ["read", "read=5", "read=0/5", "read=5/0", "red=5/7", "read=5/86401", "of"] {
            assert!(wrong.parse::<Rates>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_operation_that_nobody_named_is_open_reading_or_changing() {
        assert_eq!(class("get_openapi", true, true), Class::Open);
        assert_eq!(class("list_skus", false, true), Class::Read);
        assert_eq!(class("create_refund", false, false), Class::Change);
        assert_eq!(class("request_allocation", false, false), Class::Deploy);
        assert_eq!(class("get_liveness", true, true), Class::Watched);
    }
}
