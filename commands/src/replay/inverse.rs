//! From facts back to the wish that they answered.
//!
//! The log keeps what was decided, not what was asked. For most facts the command can be read from them and from the state before:
//! then it is asked again. Where they do not say, there is no command, and what-if counts it.
use cairn_catalog::{
    DiscountCommand, DiscountEvent, Discounts, Sku, SkuCommand, SkuEvent, TaxTable,
    TaxTableCommand, TaxTableEvent,
};
use cairn_compute::{Allocation, AllocationCommand, AllocationEvent, Size};
use cairn_core::{Decider, Timestamp};
use cairn_fleet::{Link, Node, NodeCommand, NodeEvent};
use cairn_notify::{WebhookEndpoint, WebhookEndpointCommand, WebhookEndpointEvent};
use cairn_operations::{
    Configuration, ConfigurationCommand, ConfigurationEvent, FeatureFlag, FeatureFlagCommand,
    FeatureFlagEvent, Intervention, InterventionCommand, InterventionEvent,
};
use cairn_payments::{
    Dispute, DisputeCommand, DisputeEvent, KeptMethod, OpenDispute, Payment, PaymentCommand,
    PaymentEvent, Refund, RefundCommand, RefundEvent, WaitsFor,
};

/// A decider whose commands can be found again.
pub(super) trait Inverse: Decider {
    /// The command that decided these facts, in the state before them. None when they do not say.
    fn command_of(&self, facts: &[Self::Event]) -> Option<Self::Command>;
}

impl Inverse for Sku {
    fn command_of(&self, facts: &[SkuEvent]) -> Option<SkuCommand> {
        let command = match facts.first()?.clone() {
            SkuEvent::Defined { sku_id, resources, at } => {
                SkuCommand::Define { sku_id, resources, at }
            }
            SkuEvent::Priced { price, at, .. } => SkuCommand::SetPrice {
                currency: price.currency,
                nanos_per_hour: price.nanos_per_hour,
                tiers: price.tiers,
                effective_at: price.effective_at,
                at,
            },
            SkuEvent::DiskPriced { price, at, .. } => SkuCommand::SetDiskPrice { price, at },
            SkuEvent::Retired { at, .. } => SkuCommand::Retire { at },
        };
        Some(command)
    }
}

impl Inverse for TaxTable {
    fn command_of(&self, facts: &[TaxTableEvent]) -> Option<TaxTableCommand> {
        let TaxTableEvent::RateSet { jurisdiction, tax, at } = facts.first()?.clone();
        Some(TaxTableCommand::SetRate { jurisdiction, tax, at })
    }
}

impl Inverse for Discounts {
    fn command_of(&self, facts: &[DiscountEvent]) -> Option<DiscountCommand> {
        let command = match facts.first()?.clone() {
            DiscountEvent::Given { organisation_id, discount, at } => {
                DiscountCommand::Give { organisation_id, discount, at }
            }
            DiscountEvent::Withdrawn { discount_id, at } => {
                DiscountCommand::Withdraw { discount_id, at }
            }
        };
        Some(command)
    }
}

impl Inverse for Configuration {
    fn command_of(&self, facts: &[ConfigurationEvent]) -> Option<ConfigurationCommand> {
        let command = match facts.first()?.clone() {
            ConfigurationEvent::Changed { setting, from, to, said_in, at } => {
                ConfigurationCommand::Change { setting, from, to, said_in, at }
            }
        };
        Some(command)
    }
}

impl Inverse for FeatureFlag {
    fn command_of(&self, facts: &[FeatureFlagEvent]) -> Option<FeatureFlagCommand> {
        use FeatureFlagCommand as C;
        use FeatureFlagEvent as E;
        let command = match facts.first()?.clone() {
            E::Defined { flag, description, at } => C::Define { flag, description, at },
            E::RolledOut { percentage, reason, at } => C::RollOut { percentage, reason, at },
            E::Overridden { organisation_id, on, reason, at } => {
                C::Override { organisation_id, on, reason, at }
            }
            E::OverrideCleared { organisation_id, reason, at } => {
                C::ClearOverride { organisation_id, reason, at }
            }
            E::Archived { reason, at } => C::Archive { reason, at },
        };
        Some(command)
    }
}

impl Inverse for Intervention {
    fn command_of(&self, facts: &[InterventionEvent]) -> Option<InterventionCommand> {
        let command = match facts.first()?.clone() {
            InterventionEvent::Called { process, key, intent, error, at } => {
                InterventionCommand::Call { process, key, intent, error, at }
            }
            InterventionEvent::Resolved { verb, reason, at } => {
                InterventionCommand::Resolve { verb, reason, at }
            }
        };
        Some(command)
    }
}

impl Inverse for WebhookEndpoint {
    fn command_of(&self, facts: &[WebhookEndpointEvent]) -> Option<WebhookEndpointCommand> {
        use WebhookEndpointCommand as C;
        use WebhookEndpointEvent as E;
        let command = match facts.first()?.clone() {
            E::Created { endpoint_id, organisation_id, url, event_types, secret, at } => {
                C::Create { endpoint_id, organisation_id, url, event_types, secret, at }
            }
            E::Updated { url, event_types, at } => {
                C::Update { url: Some(url), event_types: Some(event_types), at }
            }
            E::SecretRotated { secret, previous_until, at } => {
                C::RotateSecret { secret, previous_until, at }
            }
            E::TestRequested { at } => C::RequestTest { at },
            E::ResendRequested { position, at } => C::RequestResend { position, at },
            E::Disabled { reason, at } => C::Disable { reason, at },
            E::Enabled { at } => C::Enable { at },
            E::Deleted { at } => C::Delete { at },
        };
        Some(command)
    }
}

impl Inverse for Payment {
    /// Without a journal transaction nothing says when a fee was recorded, and nothing depends on it.
    fn command_of(&self, facts: &[PaymentEvent]) -> Option<PaymentCommand> {
        use PaymentCommand as C;
        use PaymentEvent as E;
        let command = match facts.first()?.clone() {
            E::Requested {
                payment_id,
                organisation_id,
                currency,
                amount_nanos,
                payment_method,
                at,
            } => match facts.get(1) {
                Some(E::MethodNamed { method_id, customer_id }) => C::RequestWith {
                    payment_id,
                    organisation_id,
                    currency,
                    amount_nanos,
                    kept: KeptMethod {
                        method_id: *method_id,
                        customer_id: customer_id.clone(),
                        provider_id: payment_method?,
                    },
                    at,
                },
                _ => C::Request {
                    payment_id,
                    organisation_id,
                    currency,
                    amount_nanos,
                    payment_method,
                    at,
                },
            },
            // It comes with the request.
            E::MethodNamed { .. } => return None,
            E::Submitted { provider_id, at } => C::Submit { provider_id, at },
            E::ActionRequired { at } => C::Wait { waits_for: WaitsFor::Customer, at },
            E::ProcessingBegun { at } => C::Wait { waits_for: WaitsFor::Bank, at },
            E::Succeeded { provider_id, charge_id, amount_nanos, at } => {
                C::Succeed { provider_id, charge_id, amount_nanos, at }
            }
            E::Failed { code, message, at } => C::Fail { code, message, at },
            E::FeeRecorded { balance_transaction_id, fee_nanos, journal } => {
                let at = journal.map_or(self.requested_at, |journal| journal.occurred_at);
                C::RecordFee { balance_transaction_id, fee_nanos, at }
            }
        };
        Some(command)
    }
}

impl Inverse for Refund {
    fn command_of(&self, facts: &[RefundEvent]) -> Option<RefundCommand> {
        use RefundCommand as C;
        use RefundEvent as E;
        let command = match facts.first()?.clone() {
            E::Requested {
                refund_id,
                payment_id,
                organisation_id,
                currency,
                amount_nanos,
                charge_id,
                at,
            } => C::Request {
                refund_id,
                payment_id,
                organisation_id,
                currency,
                amount_nanos,
                charge_id,
                at,
            },
            E::Submitted { provider_id, at } => C::Submit { provider_id, at },
            E::Succeeded { provider_id, amount_nanos, at, .. } => {
                C::Succeed { provider_id, amount_nanos, at }
            }
            E::Failed { code, at, .. } => C::Fail { code, at },
        };
        Some(command)
    }
}

impl Inverse for Dispute {
    fn command_of(&self, facts: &[DisputeEvent]) -> Option<DisputeCommand> {
        use DisputeCommand as C;
        use DisputeEvent as E;
        let command = match facts.first()?.clone() {
            E::Opened {
                dispute_id,
                provider_id,
                payment_id,
                organisation_id,
                currency,
                amount_nanos,
                charge_id,
                reason,
                at,
            } => C::Open(OpenDispute {
                dispute_id,
                provider_id,
                payment_id,
                organisation_id,
                currency,
                amount_nanos,
                charge_id,
                reason,
                at,
            }),
            E::FundsWithdrawn { amount_nanos, journal } => {
                C::Withdraw { amount_nanos, at: journal.occurred_at }
            }
            E::FundsReinstated { amount_nanos, journal } => {
                C::Reinstate { amount_nanos, at: journal.occurred_at }
            }
            E::FeeRecorded { balance_transaction_id, fee_nanos, journal } => {
                C::RecordFee { balance_transaction_id, fee_nanos, at: journal.occurred_at }
            }
            E::Closed { outcome, at } => C::Close { outcome, at },
        };
        Some(command)
    }
}

impl Inverse for Allocation {
    /// What was metered and when a release was requested may have been moved to what the state allows; asked with what came of it,
    /// the same must come of it.
    fn command_of(&self, facts: &[AllocationEvent]) -> Option<AllocationCommand> {
        use AllocationCommand as C;
        use AllocationEvent as E;
        let command = match facts.first()?.clone() {
            E::Requested {
                allocation_id,
                organisation_id,
                sku_id,
                resources,
                price,
                ssh_public_key,
                node_id,
                at,
            } => C::Request {
                allocation_id,
                organisation_id,
                sku_id,
                resources,
                price,
                tax: facts.iter().find_map(|fact| match fact {
                    E::Taxed { tax, .. } => Some(tax.clone()),
                    _ => None,
                }),
                project_id: facts.iter().find_map(|fact| match fact {
                    E::Assigned { project_id, .. } => Some(*project_id),
                    _ => None,
                }),
                ssh_public_key,
                node_id,
                at,
            },
            E::Taxed { .. } | E::Assigned { .. } => return None,
            E::Repriced { price, tax, at, .. } => C::Reprice { price, tax, at },
            E::ResizeRequested { sku_id, resources, price, tax, at } => {
                C::RequestResize { size: Size { sku_id, resources, price, tax }, at }
            }
            E::ResizeReserved { at } => C::StartResize { at },
            // It comes with the login in the new size.
            E::Resized { .. } => return self.command_of(&facts[1..]),
            E::ResizeFailed { code, message, at } => C::FailResize { code, message, at },
            E::ResizeSettled { at } => C::SettleResize { at },
            E::Reserved { placement, at } => C::ConfirmReserved { placement, at },
            E::Rejected { code, message, at } => C::Reject { code, message, at },
            E::ProvisioningStarted { login, at } => C::StartProvisioning { login, at },
            E::StepCompleted { step, observed, at } => C::CompleteStep { step, observed, at },
            E::ProvisioningFailed { step, code, message, at } => {
                C::FailProvisioning { step, code, message, at }
            }
            E::Activated { proof, at } => C::Activate { proof, at },
            E::Failed { at } => C::ConfirmFailed { at },
            E::Metered { through, unproven_seconds, late_seconds, at } => {
                C::Meter { through, unproven_seconds, late_seconds, at }
            }
            E::LateUsageProven { seconds, since, until, at } => {
                proves_late(self, seconds, (since, until), at)
            }
            E::UsageCorrected { seconds, why: reason, at } => {
                C::CorrectUsage { seconds, reason, at }
            }
            E::SuspensionRequested { reason, at } => C::RequestSuspension { reason, at },
            E::Suspended { evidence, at } => C::ConfirmSuspended { evidence, at },
            E::ResumeRequested { at } => C::RequestResume { at },
            E::Resumed { proof, at } => C::ConfirmResumed { proof, at },
            E::ReleaseRequested { reason, at } => C::RequestRelease { reason, at },
            E::TeardownVerified { evidence, at } => C::VerifyTeardown { evidence, at },
            E::Released { charged_nanos, at, .. } => C::ConfirmReleased { charged_nanos, at },
            E::NeedsOperator { doing, message, at } => C::CallOperator { doing, message, at },
        };
        Some(command)
    }
}

/// What the machine stood still is what does not count of the outage.
fn proves_late(
    rental: &Allocation,
    seconds: i64,
    (since, until): (Timestamp, Timestamp),
    at: Timestamp,
) -> AllocationCommand {
    let paused_seconds = rental.late_seconds_of((since, until), 0) - seconds;
    AllocationCommand::ProveLate { since, until, paused_seconds, at }
}

impl Inverse for Node {
    /// A token is kept as a hash until it is used, so the one that was presented is the one that was waited for. What was in use on a
    /// node is not in its facts.
    fn command_of(&self, facts: &[NodeEvent]) -> Option<NodeCommand> {
        use NodeCommand as C;
        use NodeEvent as E;
        let command = match facts.first()?.clone() {
            E::Invited { node_id, name, token_sha256, expires_at, at } => {
                C::Invite { node_id, name, token_sha256, expires_at, at }
            }
            E::InvitationExpired { at } => C::ExpireInvitation { at },
            E::Enrolled {
                address,
                port,
                host_keys,
                facts,
                capacity,
                host_certificate_serial,
                at,
            } => {
                let reserve = facts.total.minus(capacity)?;
                let token_sha256 = self.token_sha256.clone()?;
                C::Enrol {
                    token_sha256,
                    address,
                    port,
                    host_keys,
                    facts,
                    reserve,
                    host_certificate_serial,
                    at,
                }
            }
            E::ProbePassed { at } => C::RecordProbe { failure: None, at },
            E::ProbeFailed { reason, at } => C::RecordProbe { failure: Some(reason), at },
            E::Quarantined { reason, at } => C::Quarantine { reason, at },
            E::PolicyChanged { policy, reason, at } => C::SetPolicy { policy, reason, at },
            // Nobody sees that a node is resyncing: it answers, and was offline.
            E::LinkChanged { link: Link::Resyncing, at } => {
                C::ObserveLink { link: Link::Online, at }
            }
            E::LinkChanged { link, at } => C::ObserveLink { link, at },
            E::HealthDoubted { .. } | E::HealthChanged { .. } | E::OutageProven { .. } => {
                return None;
            }
            E::InventoryCompared { comparison, at } => C::RecordInventory { comparison, at },
            E::OrphanRemoved { allocation_id, evidence, at } => {
                C::RecordOrphanRemoved { allocation_id, evidence, at }
            }
            E::BeatKept { beat, at } | E::EvidenceRejected { beat, at, .. } => {
                C::ObserveBeat { beat, at }
            }
            E::CapacityReserved { allocation_id, resources, at, .. } => {
                C::Reserve { allocation_id, resources, at }
            }
            E::CapacityResized { allocation_id, resources, at } => {
                C::Resize { allocation_id, resources, at }
            }
            E::CapacityReleased { allocation_id, at } => C::Release { allocation_id, at },
            E::CapacityQuarantined { allocation_id, reason, at } => {
                C::QuarantineCapacity { allocation_id, reason, at }
            }
        };
        Some(command)
    }
}
