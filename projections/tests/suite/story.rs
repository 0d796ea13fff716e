//! What happens in a small data centre: enough of every context to fill every view.
use cairn_catalog::{Sku, SkuCommand, TaxTable, TaxTableCommand, TaxVersion};
use cairn_compute::{Allocation, AllocationCommand, PinnedPrice, Placement, ReleaseReason, Step};
use cairn_core::{
    AllocationId, ApiKeyId, Currency, HoldId, NodeId, OrganisationId, PaymentId, RefundId,
    Resources, Tiers, WebhookEndpointId,
};
use cairn_fleet::{Beat, Node, NodeCommand, NodeFacts};
use cairn_identity::{ApiKey, ApiKeyCommand, Role};
use cairn_ledger::{
    CaptureHold, PlaceHold, ReserveRefund, TopUp, Wallet, WalletCommand, wallet_id,
};
use cairn_notify::{WebhookEndpoint, WebhookEndpointCommand};
use cairn_operations::{FeatureFlag, FeatureFlagCommand, Intervention, InterventionCommand, Verb};
use cairn_payments::{Payment, PaymentCommand, Refund, RefundCommand};

use crate::world::{World, new_event, organisation};

pub const CURRENCY: Currency = Currency::USD;
pub const UNIT: i64 = 1_000_000_000;
pub const SMALL: Resources =
    Resources { cpu_millis: 1_000, memory_bytes: 1 << 30, disk_bytes: 1 << 30, pids_max: 100 };
pub const SECRET: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ";

pub fn payment(number: u128) -> PaymentId {
    PaymentId::from_bits(number)
}

pub fn allocation(number: u128) -> AllocationId {
    AllocationId::from_bits(number)
}

pub fn node(number: u128) -> NodeId {
    NodeId::from_bits(number)
}

impl World {
    pub async fn wallet(&self, owner: OrganisationId, command: WalletCommand) -> i64 {
        self.run::<Wallet>(&wallet_id(owner, CURRENCY), command).await
    }

    pub async fn top_up(&self, owner: OrganisationId, number: u128, units: i64) -> i64 {
        let at = self.now();
        self.wallet(
            owner,
            WalletCommand::TopUp(TopUp {
                organisation_id: owner,
                currency: CURRENCY,
                payment_id: payment(number),
                amount_nanos: units * UNIT,
                charge_id: format!("ch_{number}"),
                at,
            }),
        )
        .await
    }

    pub async fn hold(&self, owner: OrganisationId, number: u128, units: i64) -> i64 {
        let at = self.now();
        self.wallet(
            owner,
            WalletCommand::PlaceHold(PlaceHold {
                hold_id: HoldId::from_bits(number),
                purpose: allocation(number).to_string(),
                project_id: None,
                amount_nanos: units * UNIT,
                expires_at: at.plus_secs(1_000_000_000),
                at,
            }),
        )
        .await
    }

    pub async fn capture(
        &self,
        owner: OrganisationId,
        number: u128,
        (total, seconds): (i64, i64),
    ) -> i64 {
        let at = self.now();
        self.wallet(
            owner,
            WalletCommand::CaptureHold(CaptureHold {
                hold_id: HoldId::from_bits(number),
                total_nanos: total,
                seconds,
                product: "compute".to_owned(),
                tax: None,
                keep_nanos: UNIT,
                expires_at: at.plus_secs(1_000_000_000),
                at,
            }),
        )
        .await
    }

    pub async fn pay(&self, owner: OrganisationId, number: u128, units: i64) -> i64 {
        let id = payment(number);
        let run = async |command| self.run::<Payment>(&id.to_string(), command).await;
        run(PaymentCommand::Request {
            payment_id: id,
            organisation_id: owner,
            currency: CURRENCY,
            amount_nanos: units * UNIT,
            payment_method: None,
            at: self.now(),
        })
        .await;
        run(PaymentCommand::Submit { provider_id: format!("pi_{number}"), at: self.now() }).await;
        run(PaymentCommand::Fail {
            code: "card_declined".to_owned(),
            message: "No.".to_owned(),
            at: self.now(),
        })
        .await;
        run(PaymentCommand::Succeed {
            provider_id: format!("pi_{number}"),
            charge_id: format!("ch_{number}"),
            amount_nanos: units * UNIT,
            at: self.now(),
        })
        .await;
        run(PaymentCommand::RecordFee {
            balance_transaction_id: format!("txn_{number}"),
            fee_nanos: 59 * UNIT / 100,
            at: self.now(),
        })
        .await;
        self.top_up(owner, number, units).await
    }

    pub async fn refund(&self, owner: OrganisationId, number: u128, units: i64) -> i64 {
        let refund_id = RefundId::from_bits(number);
        let reserve = ReserveRefund {
            refund_id,
            payment_id: payment(number),
            amount_nanos: units * UNIT,
            reason: "unused".to_owned(),
            at: self.now(),
        };
        self.wallet(owner, WalletCommand::ReserveRefund(reserve)).await;
        let run = async |command| self.run::<Refund>(&refund_id.to_string(), command).await;
        run(RefundCommand::Request {
            refund_id,
            payment_id: payment(number),
            organisation_id: owner,
            currency: CURRENCY,
            amount_nanos: units * UNIT,
            charge_id: format!("ch_{number}"),
            at: self.now(),
        })
        .await;
        run(RefundCommand::Succeed {
            provider_id: format!("re_{number}"),
            amount_nanos: units * UNIT,
            at: self.now(),
        })
        .await
    }

    pub async fn sell(&self, sku_id: &str) -> i64 {
        let run = async |command| self.run::<Sku>(sku_id, command).await;
        run(SkuCommand::Define { sku_id: sku_id.to_owned(), resources: SMALL, at: self.now() })
            .await;
        for nanos_per_hour in [3 * UNIT, 36 * UNIT / 10] {
            let (currency, at) = (CURRENCY, self.now());
            let (tiers, effective_at) = (Tiers::NONE, at);
            run(SkuCommand::SetPrice { currency, nanos_per_hour, tiers, effective_at, at }).await;
        }
        self.log.head().await.unwrap()
    }

    pub async fn tax(&self, jurisdiction: &str) -> i64 {
        let at = self.now();
        let tax = TaxVersion {
            version: 0,
            name: "VAT".to_owned(),
            ppm: 190_000,
            inclusive: true,
            reverse_charge: true,
            effective_at: at,
        };
        let set = TaxTableCommand::SetRate { jurisdiction: jurisdiction.to_owned(), tax, at };
        self.run::<TaxTable>(jurisdiction, set).await
    }

    pub async fn enrol(&self, number: u128) -> i64 {
        let node_id = node(number);
        let run = async |command| self.run::<Node>(&node_id.to_string(), command).await;
        run(NodeCommand::Invite {
            node_id,
            name: format!("node-{number}"),
            token_sha256: format!("token-{number}"),
            expires_at: self.now().plus_secs(1_800),
            at: self.now(),
        })
        .await;
        run(NodeCommand::Enrol {
            token_sha256: format!("token-{number}"),
            address: format!("10.0.0.{number}"),
            port: 22,
            host_keys: vec![KEY.to_owned()],
            facts: NodeFacts {
                hostname: "box".to_owned(),
                os: "Debian GNU/Linux 12".to_owned(),
                helper_version: "0.1.0".to_owned(),
                cgroup: "v2".to_owned(),
                total: SMALL.plus(SMALL).plus(SMALL),
                last_uid: 0,
            },
            reserve: SMALL,
            host_certificate_serial: 1,
            at: self.now(),
        })
        .await;
        run(NodeCommand::RecordProbe { failure: None, at: self.now() }).await
    }

    /// Its clock is an hour ahead: what it says is no proof.
    pub async fn rejected(&self, number: u128) {
        let (at, boot_id) = (self.now(), "b0a7d9f4-1c55-4c0e-8f11-0d2f7be6a902".to_owned());
        let beat = Beat { boot_id, sequence: 1_000, clock_at: at.plus_secs(3_600) };
        self.on_node(number, NodeCommand::ObserveBeat { beat, at }).await;
    }

    pub async fn on_node(&self, number: u128, command: NodeCommand) -> i64 {
        self.run::<Node>(&node(number).to_string(), command).await
    }

    pub async fn on_allocation(&self, number: u128, command: AllocationCommand) -> i64 {
        self.run::<Allocation>(&allocation(number).to_string(), command).await
    }

    pub async fn request(&self, owner: OrganisationId, number: u128) -> i64 {
        self.on_allocation(
            number,
            AllocationCommand::Request {
                allocation_id: allocation(number),
                organisation_id: owner,
                sku_id: "small".to_owned(),
                resources: SMALL,
                price: PinnedPrice::flat(1, CURRENCY, 3_600 * UNIT),
                tax: None,
                project_id: None,
                ssh_public_key: KEY.to_owned(),
                node_id: None,
                at: self.now(),
            },
        )
        .await
    }

    /// Requested, reserved on node 1, paid by a hold, and being provisioned.
    pub async fn begin(&self, owner: OrganisationId, number: u128) {
        self.request(owner, number).await;
        let (allocation_id, at) = (allocation(number), self.now());
        self.on_node(1, NodeCommand::Reserve { allocation_id, resources: SMALL, at }).await;
        self.hold(owner, number, 5).await;
        let placement =
            Placement { node_id: node(1), uid: 20_000, hold_id: HoldId::from_bits(number) };
        self.on_allocation(number, AllocationCommand::ConfirmReserved { placement, at }).await;
        let login = "t20000".to_owned();
        self.on_allocation(number, AllocationCommand::StartProvisioning { login, at }).await;
    }

    /// A rental from request to release: two charges, one of them beyond what was paid in.
    pub async fn rent(&self, owner: OrganisationId, number: u128) -> i64 {
        self.begin(owner, number).await;
        for step in Step::ALL {
            let (observed, at) = (format!("{} is so", step.name()), self.now());
            self.on_allocation(number, AllocationCommand::CompleteStep { step, observed, at })
                .await;
        }
        let (proof, at) = ("uid=20000(t20000)".to_owned(), self.now());
        self.on_allocation(number, AllocationCommand::Activate { proof, at }).await;
        self.capture(owner, number, (2 * UNIT, 2)).await;
        let reason = ReleaseReason::Customer;
        self.on_allocation(
            number,
            AllocationCommand::RequestRelease { reason, at: at.plus_secs(20) },
        )
        .await;
        self.capture(owner, number, (20 * UNIT, 20)).await;
        let evidence = "nothing left".to_owned();
        self.on_allocation(number, AllocationCommand::VerifyTeardown { evidence, at }).await;
        let allocation_id = allocation(number);
        self.on_node(1, NodeCommand::Release { allocation_id, at }).await;
        let hold_id = HoldId::from_bits(number);
        self.wallet(owner, WalletCommand::ReleaseHold { hold_id, at }).await;
        let charged_nanos = 20 * UNIT;
        self.on_allocation(number, AllocationCommand::ConfirmReleased { charged_nanos, at }).await
    }

    /// A rental whose provisioning fails at a step.
    pub async fn fail(&self, owner: OrganisationId, number: u128, step: Step) -> i64 {
        self.begin(owner, number).await;
        let (code, message) = ("disk_full".to_owned(), "no space".to_owned());
        let at = self.now();
        self.on_allocation(number, AllocationCommand::FailProvisioning { step, code, message, at })
            .await;
        let allocation_id = allocation(number);
        self.on_node(1, NodeCommand::Release { allocation_id, at }).await;
        let hold_id = HoldId::from_bits(number);
        self.wallet(owner, WalletCommand::ReleaseHold { hold_id, at }).await;
        self.on_allocation(number, AllocationCommand::ConfirmFailed { at }).await
    }

    pub async fn key(&self, owner: OrganisationId, number: u128, secret: &str) -> i64 {
        let key_id = ApiKeyId::from_bits(number);
        let create = ApiKeyCommand::Create {
            key_id,
            organisation_id: owner,
            role: Role::Owner,
            scopes: vec![],
            name: "ci".to_owned(),
            secret_sha256: secret.to_owned(),
            holder: None,
            expires_at: None,
            at: self.now(),
        };
        self.run::<ApiKey>(&key_id.to_string(), create).await
    }

    pub async fn endpoint(&self, owner: OrganisationId, number: u128) -> i64 {
        let endpoint_id = WebhookEndpointId::from_bits(number);
        let create = WebhookEndpointCommand::Create {
            endpoint_id,
            organisation_id: owner,
            url: "https://example.org/hook".to_owned(),
            event_types: vec!["cairn.allocation.*".to_owned()],
            secret: "sealed".to_owned(),
            at: self.now(),
        };
        self.run::<WebhookEndpoint>(&endpoint_id.to_string(), create).await
    }

    pub async fn flag(&self, flag: &str, command: FeatureFlagCommand) -> i64 {
        self.run::<FeatureFlag>(flag, command).await
    }

    /// A flag for a quarter, with one organisation let in and another that was.
    pub async fn flags(&self, (one, two): (OrganisationId, OrganisationId)) -> i64 {
        use FeatureFlagCommand as C;
        let (flag, reason, at) = ("pause_rentals", || "nodes are full".to_owned(), self.now());
        let description = "No new rentals".to_owned();
        self.flag(flag, C::Define { flag: flag.to_owned(), description, at }).await;
        self.flag(flag, C::RollOut { percentage: 25, reason: reason(), at }).await;
        for organisation_id in [one, two] {
            self.flag(flag, C::Override { organisation_id, on: true, reason: reason(), at }).await;
        }
        self.flag(flag, C::Override { organisation_id: one, on: false, reason: reason(), at })
            .await;
        self.flag(flag, C::ClearOverride { organisation_id: two, reason: reason(), at }).await
    }

    pub async fn call(&self, intent: &str) -> i64 {
        let call = InterventionCommand::Call {
            process: "release_node".to_owned(),
            key: allocation(1).to_string(),
            intent: "teardown".to_owned(),
            error: "node offline".to_owned(),
            at: self.now(),
        };
        self.run::<Intervention>(intent, call).await
    }

    pub async fn resolve(&self, intent: &str) -> i64 {
        let (verb, reason, at) = (Verb::Retry, "it is back".to_owned(), self.now());
        self.run::<Intervention>(intent, InterventionCommand::Resolve { verb, reason, at }).await
    }

    /// Some of everything, for two organisations, and an event that nobody here knows.
    pub async fn everything(&self) -> i64 {
        let (one, two) = (organisation(1), organisation(2));
        self.endpoint(one, 1).await;
        self.flags((one, two)).await;
        self.breaks().await;
        self.close_month().await;
        self.papers().await;
        self.person(1).await;
        self.person(2).await;
        self.founded(7, (1, 2)).await;
        self.accounts(7).await;
        self.wishes(2).await;
        self.sell("small").await;
        self.tax("DE").await;
        self.enrol(1).await;
        self.key(one, 1, SECRET).await;
        self.pay(one, 1, 12).await;
        self.pay(two, 2, 50).await;
        self.refund(two, 2, 20).await;
        self.rent(one, 1).await;
        self.fail(two, 2, Step::Home).await;
        self.rejected(1).await;
        self.call("intent-1").await;
        self.resolve("intent-1").await;
        let unknown = new_event("wallet.blessed", serde_json::json!({"type": "wallet.blessed"}));
        self.append("wallet", "no wallet at all", 0, vec![unknown]).await
    }
}
