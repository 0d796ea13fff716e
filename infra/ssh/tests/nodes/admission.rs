//! Who gets in, and who does not. Every refusal comes after a positive control.
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use cairn_commands::ports::{FailureKind, NodePort};
use cairn_compute::Step;
use cairn_core::{AllocationId, NodeId};
use cairn_ssh::{CertificateAuthority, Credential, SourceAddress, SshConfig, SshNodes};

use super::support::{ALLOCATION, Counter, RealClock, World, key, now, world};

fn log_says(world: &World, text: &str) -> bool {
    world.node.sshd_log().unwrap().contains(text)
}

#[test]
fn a_session_certificate_opens_its_own_allocation_for_a_minute() {
    let Some(world) = world("sessions") else { return };
    world.provision();
    let good = world.authority.mint_session(ALLOCATION, "s-good", &[], now()).unwrap();
    let said = world.ssh_as("t20000", &good, "id -u");
    assert_eq!(said.stdout, "20000\n", "{said:?}");
    assert!(log_says(&world, "session:s-good"), "sshd does not name the session");

    let other = AllocationId::from_bits(42);
    let foreign = world.authority.mint_session(other, "s-foreign", &[], now()).unwrap();
    assert!(!world.ssh_as("t20000", &foreign, "id").success);
    let stale =
        world.authority.mint_session(ALLOCATION, "s-old", &[], now().plus_secs(-90)).unwrap();
    assert!(!world.ssh_as("t20000", &stale, "id").success);
    assert!(log_says(&world, "Certificate invalid: expired"));
    let stranger = CertificateAuthority::open(&world.files.path().join("stranger")).unwrap();
    let forged = stranger.mint_session(ALLOCATION, "s-forged", &[], now()).unwrap();
    assert!(!world.ssh_as("t20000", &forged, "id").success);
    assert!(!world.ssh_as("root", &good, "id").success, "a tenant's certificate opened root");
    assert!(!world.ssh_as("cairn-control", &good, "id").success);
}

#[test]
fn a_control_certificate_opens_the_helper_on_its_own_node_and_nothing_else() {
    let Some(world) = world("control") else { return };
    let good = world.authority.mint_control(world.target.node_id, &[], now()).unwrap();
    // Whatever is asked for, the helper answers: here, that it does not understand.
    let said = world.ssh_as("cairn-control", &good, "id");
    assert!(said.stdout.contains("request_invalid"), "{said:?}");
    assert!(!said.stdout.contains("uid="), "{said:?}");
    assert!(!world.ssh_as("root", &good, "id").success, "a control certificate opened root");

    let elsewhere = world.authority.mint_control(NodeId::from_bits(8), &[], now()).unwrap();
    assert!(!world.ssh_as("cairn-control", &elsewhere, "id").success);
    let stale =
        world.authority.mint_control(world.target.node_id, &[], now().plus_secs(-150)).unwrap();
    assert!(!world.ssh_as("cairn-control", &stale, "id").success);
    let stranger = CertificateAuthority::open(&world.files.path().join("stranger")).unwrap();
    let forged = stranger.mint_control(world.target.node_id, &[], now()).unwrap();
    assert!(!world.ssh_as("cairn-control", &forged, "id").success);
    // The adapter calls that worth another try: keys may be on their way.
    let target =
        cairn_commands::ports::NodeTarget { node_id: NodeId::from_bits(8), ..world.target.clone() };
    let (tenant, key) = (world.tenant(), key("k", 1));
    let call = world.nodes.ensure(&target, &tenant, Step::Uid, &key);
    let failure = world.runtime.block_on(call).unwrap_err();
    assert_eq!(failure.code, "control_not_admitted");
}

#[test]
fn even_the_control_authority_opens_root_only_for_a_forced_command() {
    let Some(world) = world("forced") else { return };
    let identity = world.files.path().join("customer");
    let sign = |options: &[&str]| {
        let principal = format!("ctl:{}", world.target.node_id);
        let authority = world.files.path().join("authority/control_ca");
        let signed = Command::new("ssh-keygen")
            .args(["-q", "-s"])
            .arg(authority)
            .args(["-I", "by-hand", "-n", &principal, "-V", "-1m:+2m"])
            .args(options)
            .arg(identity.with_extension("pub"))
            .status();
        assert!(signed.unwrap().success());
        let said = world.ssh_command("cairn-control", &identity).arg("id").output().unwrap();
        String::from_utf8_lossy(&said.stdout).into_owned()
    };
    let forced = sign(&["-O", "force-command=cairn-node serve"]);
    assert!(forced.contains("request_invalid"), "{forced}");
    assert_eq!(sign(&[]), "");
}

#[test]
fn a_node_whose_host_key_changed_is_not_spoken_to() {
    let Some(world) = world("changed") else { return };
    world.runtime.block_on(world.nodes.probe(&world.target)).unwrap();
    world.node.change_host_keys().unwrap();
    let failure = world.runtime.block_on(world.nodes.probe(&world.target)).unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Untrusted, "host_key_changed"));
    // Nor does the customer's ssh speak to it: no certificate, no trust.
    let said = world.ssh("id");
    assert!(said.stderr.contains("Host key verification failed"), "{said:?}");
}

#[test]
fn a_tenant_cannot_forward_or_let_others_in() {
    let Some(world) = world("restricted") else { return };
    world.provision();
    let said = world.ssh("tty; mkdir -p .ssh; echo open");
    assert!(said.stdout.contains("open"), "{said:?}");
    let identity = world.files.path().join("customer");
    let key = std::fs::read_to_string(world.files.path().join("customer.pub")).unwrap();
    let planted = world.ssh(&format!(
        "echo '{}' > .ssh/authorized_keys; wc -l < .ssh/authorized_keys",
        key.trim()
    ));
    assert_eq!(planted.stdout.trim(), "1", "{planted:?}");
    let mut forward = world.ssh_command("t20000", &identity);
    let output = forward
        .args(["-o", "ExitOnForwardFailure=yes", "-R", "7777:127.0.0.1:22", "true"])
        .output()
        .unwrap();
    assert!(!output.status.success(), "a tenant could forward a port");
    // Only the root-owned file counts: without it, the planted one opens nothing.
    world.node.run(&["mv", "/etc/ssh/cairn/keys/t20000", "/root-owned-elsewhere"]).unwrap_err();
    world.node.run(&["mv", "/etc/ssh/cairn/keys/t20000", "/run/moved"]).unwrap();
    assert!(!world.ssh("id").success, "a key in the home opened the login");
}

#[test]
fn a_certificate_opens_nothing_from_another_address() {
    let Some(world) = world("sources") else { return };
    world.provision();
    let here = SourceAddress::from(world.node.host_address());
    let network: SourceAddress = "198.18.0.0/15".parse().unwrap();
    let there: SourceAddress = "192.0.2.0/24".parse().unwrap();
    let control = |sources: &[SourceAddress]| {
        let minted = world.authority.mint_control(world.target.node_id, sources, now()).unwrap();
        world.ssh_as("cairn-control", &minted, "id").stdout.contains("request_invalid")
    };
    let session = |sources: &[SourceAddress]| {
        let minted = world.authority.mint_session(ALLOCATION, "s", sources, now()).unwrap();
        world.ssh_as("t20000", &minted, "id -u").stdout == "20000\n"
    };
    for sources in [&[here][..], &[network], &[there, here]] {
        assert!(control(sources) && session(sources), "refused from its own address: {sources:?}");
    }
    assert!(!control(&[there]), "a control certificate opened from another address");
    assert!(!session(&[there]), "a session certificate opened from another address");
    assert!(log_says(&world, "not from a permitted source address"));
}

#[test]
fn the_adapter_says_where_it_comes_from() {
    let Some(world) = world("said") else { return };
    let from = |source: SourceAddress| {
        let config = SshConfig {
            settle_timeout: Duration::ZERO,
            source_addresses: vec![source],
            ..SshConfig::default()
        };
        let (clock, ids) = (Arc::new(RealClock), Arc::new(Counter::new()));
        SshNodes::new(Arc::clone(&world.authority), clock, ids, config)
    };
    let ours = from(world.node.host_address().into());
    world.runtime.block_on(ours.probe(&world.target)).unwrap();
    let tenant = world.tenant();
    for step in Step::ALL {
        // The last one logs in as the tenant, under the same restriction.
        let key = key(step.name(), 1);
        world.runtime.block_on(ours.ensure(&world.target, &tenant, step, &key)).unwrap();
    }
    let theirs = from("192.0.2.1".parse().unwrap());
    let failure = world.runtime.block_on(theirs.probe(&world.target)).unwrap_err();
    assert_eq!(failure.code, "control_not_admitted");
}

/// Puts a certificate's serial into the node's list of revoked ones, as an operator would by hand.
fn revoke(world: &World, credential: &Credential, authority: &str, more: &[&str]) {
    let file = world.files.path().join("revoked-cert.pub");
    std::fs::write(&file, credential.certificate().unwrap()).unwrap();
    let shown = Command::new("ssh-keygen").arg("-Lf").arg(&file).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let serial = shown.lines().find_map(|line| line.trim().strip_prefix("Serial: ")).unwrap();
    let authority = format!("/etc/ssh/cairn/{authority}.pub");
    let list = ["ssh-keygen", "-q", "-k", "-f", REVOKED, "-s", &authority];
    let said = world
        .node
        .exec_with(&[&list[..], more, &["-"]].concat(), format!("serial: {serial}\n").as_bytes());
    assert!(said.as_ref().unwrap().success, "{said:?}");
}

const REVOKED: &str = "/etc/ssh/cairn/revoked_keys";

#[test]
fn a_revoked_serial_opens_nothing_and_its_sisters_stay_good() {
    let Some(world) = world("revoked") else { return };
    world.provision();
    let found = world.node.run(&["stat", "-c", "%U:%G %a %F", REVOKED]).unwrap();
    assert_eq!(found, "root:root 644 regular empty file\n");
    let session = || world.authority.mint_session(ALLOCATION, "s", &[], now()).unwrap();
    let control = || world.authority.mint_control(world.target.node_id, &[], now()).unwrap();
    let enters = |minted| world.ssh_as("t20000", minted, "id -u").stdout == "20000\n";
    let controls =
        |minted| world.ssh_as("cairn-control", minted, "id").stdout.contains("request_invalid");
    let (lost, lost_control) = (session(), control());
    assert!(enters(&lost) && controls(&lost_control), "refused before it was revoked");
    revoke(&world, &lost, "tenant_authority", &[]);
    revoke(&world, &lost_control, "control_authority", &["-u"]);
    assert!(!enters(&lost), "a revoked session certificate opened the login");
    assert!(!controls(&lost_control), "a revoked control certificate opened the helper");
    assert!(log_says(&world, "revoked"));
    assert!(enters(&session()) && controls(&control()), "the list refused what is not on it");
}
