//! The providers that the tests run against: our simulator in this process, and localstripe in its own.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may panic, and says what it skips"
)]
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cairn_commands::ports::{NewPayment, NewRefund, NewSetup};
use cairn_core::id::time_ordered;
use cairn_core::{
    Currency, Money, OrganisationId, PaymentId, PaymentMethodId, RefundId, Timestamp,
};
use cairn_stripe::{StripeConfig, StripePayments};
use cairn_stripe_simulator::{Simulator, SimulatorConfig};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

pub const SECRET_KEY: &str = "sk_test_contract";

/// Something that speaks Stripe's API, and our port to it.
pub struct Provider {
    pub payments: StripePayments,
    pub base_url: String,
    /// A card that the provider declines.
    pub declining_card: &'static str,
    /// In nanos, of a payment of 12.50.
    pub fee_of_12_50: i64,
    pub simulator: Option<Simulator>,
    _process: Option<Child>,
}

pub fn config(base_url: &str) -> StripeConfig {
    StripeConfig {
        secret_key: SECRET_KEY.to_owned(),
        api_base: Some(base_url.to_owned()),
        webhook_secrets: vec![],
    }
}

/// Our simulator, in this process.
pub async fn simulator() -> Option<Provider> {
    Some(simulator_with(SimulatorConfig::default()).await)
}

pub async fn simulator_with(config_of: SimulatorConfig) -> Provider {
    let simulator = Simulator::start(config_of).await.unwrap();
    Provider {
        payments: StripePayments::try_new(config(&simulator.base_url)).unwrap(),
        base_url: simulator.base_url.clone(),
        declining_card: "pm_card_chargeDeclined",
        fee_of_12_50: 660_000_000,
        simulator: Some(simulator),
        _process: None,
    }
}

/// A port that gives up soon.
pub fn impatient(provider: &Provider) -> StripePayments {
    StripePayments::with_timeout(config(&provider.base_url), Duration::from_millis(400)).unwrap()
}

/// Serves localstripe on a free port, keeps nothing on disk, and ends with its parent.
const LOCALSTRIPE: &str = r#"
import os, socket, sys, threading
from aiohttp import web
from localstripe import resources, server
resources.Store.dump_to_disk = lambda self: None
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(64)
print(listener.getsockname()[1], flush=True)
web.run_app(server.app, sock=listener, print=None)
"#;

/// localstripe, in its own process; `None` only where `CAIRN_SKIP_LOCALSTRIPE=1` says so.
pub async fn localstripe() -> Option<Provider> {
    let workspace = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let python = workspace.join("target/tools/localstripe/bin/python");
    if !python.exists() {
        if variable("CAIRN_SKIP_LOCALSTRIPE").as_deref() == Some("1") {
            eprintln!("SKIPPED: localstripe is not installed and CAIRN_SKIP_LOCALSTRIPE=1");
            return None;
        }
        panic!("{} is missing: run `cargo xtask setup`", python.display());
    }
    let mut process = Command::new(python)
        .args(["-c", LOCALSTRIPE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut port = String::new();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    output.read_line(&mut port).await.unwrap();
    let base_url = format!("http://127.0.0.1:{}", port.trim());
    // It knows neither automatic payment methods nor fees.
    let payments = StripePayments::try_new(config(&base_url)).unwrap().with_default_methods();
    Some(Provider {
        payments,
        base_url,
        declining_card: "pm_card_chargeCustomerFail",
        fee_of_12_50: 0,
        simulator: None,
        _process: Some(process),
    })
}

#[allow(clippy::disallowed_methods, reason = "a test may be told to skip")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[allow(clippy::disallowed_methods, reason = "ids of a test need only differ")]
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
}

pub fn bits() -> u128 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let millis = u64::try_from(now().as_micros() / 1_000).unwrap();
    time_ordered(millis, u128::from(NEXT.fetch_add(1, Ordering::Relaxed)))
}

pub fn dollars(cents: i64) -> Money {
    Money::new(cents * 10_000_000, Currency::USD)
}

/// A payment of 12.50 USD.
pub fn payment(method: Option<&str>) -> NewPayment {
    let payment_id = PaymentId::from_bits(bits());
    NewPayment {
        payment_id,
        amount: dollars(1_250),
        payment_method: method.map(str::to_owned),
        customer_id: None,
        idempotency_key: format!("key-{payment_id}"),
    }
}

/// Something to be kept to pay with.
pub fn setup(customer_id: &str, method: Option<&str>) -> NewSetup {
    let method_id = PaymentMethodId::from_bits(bits());
    NewSetup {
        organisation_id: OrganisationId::from_bits(1),
        method_id,
        customer_id: customer_id.to_owned(),
        payment_method: method.map(str::to_owned),
        idempotency_key: format!("key-{method_id}"),
    }
}

pub fn refund(charge_id: &str, cents: i64) -> NewRefund {
    let refund_id = RefundId::from_bits(bits());
    NewRefund {
        refund_id,
        charge_id: charge_id.to_owned(),
        amount: dollars(cents),
        idempotency_key: format!("key-{refund_id}"),
    }
}

/// Asks until the answer is there, at most ten seconds.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    for _ in 0..500 {
        if let Some(found) = ask().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never happened: {what}");
}
