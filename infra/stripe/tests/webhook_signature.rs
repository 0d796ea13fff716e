//! Webhooks: only what was signed with one of our secrets, over exactly these bytes, just now, is believed.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use cairn_core::Timestamp;
use cairn_stripe::{WebhookEvent, WebhookRefusal, WebhookSubject, parse_webhook, verify_webhook};
use cairn_stripe_simulator::sign;

const BODY: &[u8] = br#"{"id": "evt_1", "type": "payment_intent.succeeded"}"#;
const SIGNED_AT: i64 = 1_800_000_000;
const NOW: Timestamp = Timestamp::from_secs(SIGNED_AT);

fn check(
    header: &str,
    secrets: &[&str],
    body: &[u8],
    now: Timestamp,
) -> Result<(), WebhookRefusal> {
    let secrets: Vec<String> = secrets.iter().map(|&secret| secret.to_owned()).collect();
    // Positive control: with the true secret, body and time the same call believes.
    let genuine = sign("whsec_true", SIGNED_AT, BODY);
    assert_eq!(verify_webhook(BODY, &genuine, &["whsec_true".to_owned()], NOW), Ok(()));
    verify_webhook(body, header, &secrets, now)
}

#[test]
fn the_signature_is_the_one_that_openssl_computes() {
    // printf '1492774577.{}' | openssl dgst -sha256 -hmac whsec_test
    let digest = "0d0602f6611bd2252dd4b74b58a4528355a7380639a15e6cc21e3059d56d5b8b";
    let header = format!("t=1492774577,v1={digest}");
    assert_eq!(sign("whsec_test", 1_492_774_577, b"{}"), header);
    let then = Timestamp::from_secs(1_492_774_577);
    assert_eq!(verify_webhook(b"{}", &header, &["whsec_test".to_owned()], then), Ok(()));
}

#[test]
fn a_forged_signature_is_refused() {
    let zeros = "0".repeat(64);
    let header = format!("t={SIGNED_AT},v1={zeros}");
    assert_eq!(check(&header, &["whsec_true"], BODY, NOW), Err(WebhookRefusal::Forged));
}

#[test]
fn a_signature_by_another_secret_is_refused() {
    let header = sign("whsec_other", SIGNED_AT, BODY);
    assert_eq!(check(&header, &["whsec_true"], BODY, NOW), Err(WebhookRefusal::Forged));
}

#[test]
fn a_tampered_body_is_refused_even_by_one_space() {
    let header = sign("whsec_true", SIGNED_AT, BODY);
    let mut tampered = BODY.to_vec();
    tampered.push(b' ');
    assert_eq!(check(&header, &["whsec_true"], &tampered, NOW), Err(WebhookRefusal::Forged));
}

#[test]
fn a_changed_time_is_refused() {
    let header = sign("whsec_true", SIGNED_AT, BODY);
    let moved = header.replace("t=1800000000", "t=1800000001");
    assert_eq!(check(&moved, &["whsec_true"], BODY, NOW), Err(WebhookRefusal::Forged));
}

#[test]
fn a_signature_is_fresh_for_300_seconds_in_both_directions() {
    let header = sign("whsec_true", SIGNED_AT, BODY);
    for (seconds, expected) in [
        (300, Ok(())),
        (-300, Ok(())),
        (301, Err(WebhookRefusal::Stale(301))),
        (-301, Err(WebhookRefusal::Stale(301))),
    ] {
        let now = NOW.plus_secs(seconds);
        assert_eq!(check(&header, &["whsec_true"], BODY, now), expected, "{seconds}");
    }
}

#[test]
fn while_a_secret_is_rotated_either_is_believed() {
    for signer in ["whsec_old", "whsec_true"] {
        let header = sign(signer, SIGNED_AT, BODY);
        assert_eq!(check(&header, &["whsec_true", "whsec_old"], BODY, NOW), Ok(()));
    }
    let old = sign("whsec_old", SIGNED_AT, BODY);
    assert_eq!(check(&old, &["whsec_true"], BODY, NOW), Err(WebhookRefusal::Forged));
}

#[test]
fn one_good_signature_among_several_is_enough() {
    let good = sign("whsec_true", SIGNED_AT, BODY);
    let bad = "0".repeat(64);
    let header = good.replace(",v1=", &format!(",v0={bad},v1={bad},v1="));
    assert_eq!(check(&header, &["whsec_true"], BODY, NOW), Ok(()));
}

#[test]
fn a_good_signature_of_another_scheme_is_not_enough() {
    let header = sign("whsec_true", SIGNED_AT, BODY).replace("v1=", "v0=");
    assert_eq!(check(&header, &["whsec_true"], BODY, NOW), Err(WebhookRefusal::MalformedHeader));
}

#[test]
fn a_truncated_or_odd_header_is_refused_and_never_panics() {
    let genuine = sign("whsec_true", SIGNED_AT, BODY);
    for end in 0..genuine.len() {
        assert!(check(&genuine[..end], &["whsec_true"], BODY, NOW).is_err(), "{}", &genuine[..end]);
    }
    for header in ["t=,v1=", "t=x,v1=00", "t=-1,v1=00", "v1=00", "t=1800000000", "=,=", ",,,", "ü"]
    {
        let refused = check(header, &["whsec_true"], BODY, NOW);
        assert_eq!(refused, Err(WebhookRefusal::MalformedHeader), "{header}");
    }
    let twice = format!("t=1,{genuine}");
    let refused = check(&twice, &["whsec_true"], BODY, NOW);
    assert_eq!(refused, Err(WebhookRefusal::MalformedHeader));
}

#[test]
fn without_a_secret_nothing_is_believed() {
    for secrets in [&[][..], &[""], &["  "]] {
        let header = sign("", SIGNED_AT, BODY);
        assert_eq!(check(&header, secrets, BODY, NOW), Err(WebhookRefusal::NoSecret));
    }
}

fn subject(object: &str) -> WebhookSubject {
    let raw =
        format!(r#"{{"id": "evt_1", "type": "x", "created": 1, "data": {{"object": {object}}}}}"#);
    parse_webhook(raw.as_bytes()).unwrap().subject
}

#[test]
fn an_event_names_what_to_look_at_again() {
    let payment = WebhookSubject::Payment("pi_1".to_owned());
    assert_eq!(subject(r#"{"object": "payment_intent", "id": "pi_1"}"#), payment);
    let charge = r#"{"object": "charge", "id": "ch_1", "payment_intent": "pi_1"}"#;
    assert_eq!(subject(charge), payment);
    let expanded = r#"{"object": "charge", "id": "ch_1", "payment_intent": {"id": "pi_1"}}"#;
    assert_eq!(subject(expanded), payment);
    let refund = r#"{"object": "refund", "id": "re_1"}"#;
    assert_eq!(subject(refund), WebhookSubject::Refund("re_1".to_owned()));
    let setup = r#"{"object": "setup_intent", "id": "seti_1"}"#;
    assert_eq!(subject(setup), WebhookSubject::Setup("seti_1".to_owned()));
    let dispute = r#"{"object": "dispute", "id": "du_1", "payment_intent": "pi_1"}"#;
    assert_eq!(subject(dispute), WebhookSubject::Dispute("du_1".to_owned()));
}

#[test]
fn events_of_tomorrow_are_read_and_left_alone() {
    for object in ["{}", "null", "7", r#"{"object": "rocket", "id": 7}"#, r#"{"object": "charge"}"#]
    {
        assert_eq!(subject(object), WebhookSubject::Other, "{object}");
    }
    let bare = parse_webhook(br#"{"id": "evt_1", "created": "soon"}"#).unwrap();
    let expected = WebhookEvent {
        event_id: "evt_1".to_owned(),
        kind: String::new(),
        created_at: Timestamp::from_secs(0),
        subject: WebhookSubject::Other,
    };
    assert_eq!(bare, expected);
}

#[test]
fn what_is_no_event_is_unreadable() {
    for raw in [&b""[..], b"{", b"[]", b"{}", b"\xff", br#"{"id": 7}"#] {
        assert!(matches!(parse_webhook(raw), Err(WebhookRefusal::Unreadable(_))), "{raw:?}");
    }
}
