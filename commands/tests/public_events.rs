//! What outsiders hear: every type of event is public or private on purpose, and what is public looks as its schema says.
#![allow(clippy::unwrap_used, reason = "a test")]
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cairn_commands::public::{PublicEvent, translate, types};
use cairn_core::Timestamp;
use cairn_event_log::{Metadata, Recorded};
use serde_json::Value;

/// Nobody outside hears of these.
const PRIVATE: [&str; 135] = [
    "auto_top_up.begun",
    "allocation.needs_operator",
    "allocation.provisioning_failed",
    "allocation.provisioning_started",
    "allocation.reserved",
    "allocation.step_completed",
    "allocation.teardown_verified",
    "allocation.late_usage_proven",
    "allocation.usage_corrected",
    "api_key.assigned",
    "api_key.created",
    "api_key.expiry_set",
    "api_key.issued",
    "api_key.revoked",
    "billing.details_set",
    "break.assigned",
    "break.cleared",
    "break.found",
    "break.reopened",
    "break.resolution_proposed",
    "break.resolved",
    "break.restated",
    "configuration.changed",
    "feature_flag.archived",
    "feature_flag.defined",
    "feature_flag.overridden",
    "feature_flag.override_cleared",
    "feature_flag.rolled_out",
    "dispute.closed",
    "dispute.fee_recorded",
    "dispute.funds_reinstated",
    "dispute.funds_withdrawn",
    "dispute.opened",
    "legal_entity.set",
    "payout.arrived",
    "payout.fee_recorded",
    "payout.paid_out",
    "payout.returned",
    "payout.taken_back",
    "node.beat_kept",
    "node.capacity_quarantined",
    "node.capacity_released",
    "node.capacity_reserved",
    "node.evidence_rejected",
    "node.health_changed",
    "node.health_doubted",
    "node.inventory_compared",
    "node.orphan_removed",
    "node.outage_proven",
    "node.invitation_expired",
    "node.invited",
    "node.link_changed",
    "node.probe_failed",
    "node.probe_passed",
    "node.quarantined",
    "payment.fee_recorded",
    "payment.method_named",
    "payment.submitted",
    "payment_method.customer_made",
    "payment_method.detached",
    "payment_method.failed",
    "payment_method.made_default",
    "payment_method.removed",
    "payment_method.requested",
    "payment_method.saved",
    "payment_method.submitted",
    "discounts.given",
    "discounts.withdrawn",
    "tax_table.rate_set",
    "period.closed",
    "period.reopened",
    "process.intervened",
    "process.needs_operator",
    "refund.submitted",
    "subject.erased",
    "subject.erasure_begun",
    "wallet.hold_assigned",
    "wallet.hold_extension_refused",
    "email_address.claimed",
    "email_address.released",
    "organisation.founded",
    "organisation.renamed",
    "organisation.second_factor_rule_set",
    "organisation.member_invited",
    "organisation.invitation_revoked",
    "organisation.member_joined",
    "organisation.role_changed",
    "organisation.member_left",
    "organisation.support_granted",
    "organisation.grant_ended",
    "organisation.suspended",
    "organisation.resumed",
    "organisation.service_account_added",
    "organisation.service_account_renamed",
    "organisation.service_account_role_changed",
    "organisation.service_account_disabled",
    "organisation.service_account_enabled",
    "organisation.service_account_removed",
    "organisation.project_created",
    "organisation.project_renamed",
    "organisation.project_archived",
    "allocation.assigned",
    "user.registered",
    "user.identity_linked",
    "user.identity_unlinked",
    "user.passkey_added",
    "user.passkey_used",
    "user.passkey_renamed",
    "user.passkey_removed",
    "user.link_requested",
    "user.reminded",
    "user.email_verified",
    "user.password_set",
    "user.totp_begun",
    "user.totp_confirmed",
    "user.totp_removed",
    "user.signed_in",
    "user.session_renewed",
    "user.sign_in_failed",
    "user.session_ended",
    "user.sessions_ended",
    "user.factors_reset",
    "user.closed",
    "user.consented",
    "user.erasure_cancelled",
    "user.erasure_requested",
    "webhook_endpoint.created",
    "webhook_endpoint.deleted",
    "webhook_endpoint.enabled",
    "webhook_endpoint.resend_requested",
    "webhook_endpoint.secret_rotated",
    "webhook_endpoint.updated",
    "allocation.resize_reserved",
    "allocation.resize_settled",
    "node.capacity_resized",
];

/// What must never leave, as the golden events have it.
const SECRETS: [&str; 15] = [
    "ssh-ed25519",
    "10.0.0.2",
    "pm_card_visa",
    "pi_1",
    "ch_1",
    "no space left",
    "upgrade",
    "lost_or_stolen_card",
    "stripe",
    "whsec_",
    "https://example.org",
    // Of whom a paper is, to whom, and why.
    "Main Street",
    "CHE-123",
    "the node was slow",
    "paid by other means",
];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every golden event, as the log would hold it.
fn golden() -> Vec<Recorded> {
    let mut facts = vec![];
    for entry in fs::read_dir(top().join("replay-tests/golden/events")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let (event_type, rest) = name.rsplit_once(".v").unwrap();
        let (version, _) = rest.split_once('.').unwrap();
        let (aggregate, _) = event_type.split_once('.').unwrap();
        let aggregate_type = match aggregate {
            "process" => "intervention",
            "invoice" => "invoice_series",
            "credit_note" => "credit_note_series",
            "payment_method" => "payment_methods",
            named => named,
        };
        let aggregate_id = match aggregate {
            "wallet" | "dunning" | "auto_top_up" => "org_00000000010000000000000000:USD".to_owned(),
            other => format!("{other}_00000000000000000000000001"),
        };
        facts.push(Recorded {
            position: i64::try_from(facts.len()).unwrap() + 1,
            recorded_at: Timestamp::from_secs(1_790_000_000),
            aggregate_type: aggregate_type.to_owned(),
            aggregate_id,
            sequence: 1,
            event_type: event_type.to_owned(),
            event_version: version.parse().unwrap(),
            payload: fs::read_to_string(&path).unwrap().into(),
            metadata: Metadata { correlation_id: "req_1".to_owned(), ..Metadata::default() }.into(),
            fault: None,
        });
    }
    assert!(facts.len() > 50, "the golden events are found");
    facts
}

fn said() -> Vec<(String, Option<PublicEvent>)> {
    let facts = golden();
    facts.iter().map(|fact| (fact.event_type.clone(), translate(fact, "/cairn").unwrap())).collect()
}

#[test]
fn every_type_of_event_is_public_or_private_on_purpose() {
    for (event_type, said) in said() {
        let private = PRIVATE.contains(&event_type.as_str());
        assert_eq!(said.is_none(), private, "{event_type}");
        if let Some(event) = said {
            assert!(event.kind.starts_with(&format!("cairn.{event_type}.v")), "{}", event.kind);
        }
    }
}

#[test]
fn every_public_type_is_said_by_some_event_as_its_schema_has_it() {
    let schemas: BTreeMap<_, _> = types().into_iter().map(|it| (it.kind, it.schema)).collect();
    let mut unsaid: Vec<_> = schemas.keys().cloned().collect();
    for event in said().into_iter().filter_map(|(_, said)| said) {
        let body: Value = serde_json::from_str(&event.body).unwrap();
        let schema = jsonschema::validator_for(&schemas[&event.kind]).unwrap();
        let wrong: Vec<_> = schema.iter_errors(&body).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{}: {wrong:?}", event.kind);
        unsaid.retain(|kind| *kind != event.kind);
        let mut more = body;
        more["data"]["secret"] = Value::from("x");
        assert!(!schema.is_valid(&more), "{} lets anything through", event.kind);
    }
    assert!(unsaid.is_empty(), "no golden event says {unsaid:?}");
}

#[test]
fn no_key_address_provider_id_or_free_text_leaves() {
    let mut all = String::new();
    golden().iter().for_each(|fact| all.push_str(&fact.payload.to_string()));
    for secret in SECRETS {
        assert!(all.contains(secret), "{secret} is in a golden event, or this test proves nothing");
        for event in said().into_iter().filter_map(|(_, said)| said) {
            assert!(!event.body.contains(secret), "{} says {secret}", event.kind);
        }
    }
}

/// A schema that has landed never changes: another one is another version. `CAIRN_NEW_SCHEMAS=1` writes those that are new.
#[test]
#[allow(clippy::disallowed_methods, reason = "how a test is told to record")]
fn every_schema_has_landed_as_it_is() {
    let folder = top().join("docs/schemas");
    let write = std::env::var_os("CAIRN_NEW_SCHEMAS").is_some();
    let mut landed: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    for public in types() {
        let (name, text) = (format!("{}.json", public.kind), text(&public.schema));
        if write && !landed.contains(&name) {
            fs::write(folder.join(&name), &text).unwrap();
        }
        let known = fs::read_to_string(folder.join(&name));
        let known = known.unwrap_or_else(|_| panic!("{name} is new: set CAIRN_NEW_SCHEMAS=1"));
        let known: Value = serde_json::from_str(&known).unwrap();
        assert_eq!(known, public.schema, "{name} has landed: give the change another version");
        landed.retain(|other| *other != name);
    }
    assert!(landed.is_empty(), "consumers rely on these, but nothing describes them: {landed:?}");
}

fn text(schema: &Value) -> String {
    format!("{}\n", serde_json::to_string_pretty(schema).unwrap())
}
