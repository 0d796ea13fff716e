//! Who gets in, and who does not. Every refusal comes after a positive control.
use cairn_commands::ports::{FailureKind, NodePort};
use cairn_compute::Step;
use cairn_core::{AllocationId, NodeId};
use cairn_ssh::CertificateAuthority;

use super::support::{ALLOCATION, World, key, now, world};

fn log_says(world: &World, text: &str) -> bool {
    world.node.sshd_log().unwrap().contains(text)
}

#[test]
fn a_session_certificate_opens_its_own_allocation_for_a_minute() {
    let Some(world) = world("sessions") else { return };
    world.provision();
    let good = world.authority.mint_session(ALLOCATION, "s-good", now()).unwrap();
    let said = world.ssh_as("t20000", &good, "id -u");
    assert_eq!(said.stdout, "20000\n", "{said:?}");
    assert!(log_says(&world, "session:s-good"), "sshd does not name the session");

    let other = AllocationId::from_bits(42);
    let foreign = world.authority.mint_session(other, "s-foreign", now()).unwrap();
    assert!(!world.ssh_as("t20000", &foreign, "id").success);
    let stale = world.authority.mint_session(ALLOCATION, "s-old", now().plus_secs(-90)).unwrap();
    assert!(!world.ssh_as("t20000", &stale, "id").success);
    assert!(log_says(&world, "Certificate invalid: expired"));
    let stranger = CertificateAuthority::open(&world.files.path().join("stranger")).unwrap();
    let forged = stranger.mint_session(ALLOCATION, "s-forged", now()).unwrap();
    assert!(!world.ssh_as("t20000", &forged, "id").success);
    assert!(!world.ssh_as("root", &good, "id").success, "a tenant's certificate opened root");
    assert!(!world.ssh_as("cairn-control", &good, "id").success);
}

#[test]
fn a_control_certificate_opens_the_helper_on_its_own_node_and_nothing_else() {
    let Some(world) = world("control") else { return };
    let good = world.authority.mint_control(world.target.node_id, now()).unwrap();
    // Whatever is asked for, the helper answers: here, that it does not understand.
    let said = world.ssh_as("cairn-control", &good, "id");
    assert!(said.stdout.contains("request_invalid"), "{said:?}");
    assert!(!said.stdout.contains("uid="), "{said:?}");
    assert!(!world.ssh_as("root", &good, "id").success, "a control certificate opened root");

    let elsewhere = world.authority.mint_control(NodeId::from_bits(8), now()).unwrap();
    assert!(!world.ssh_as("cairn-control", &elsewhere, "id").success);
    let stale = world.authority.mint_control(world.target.node_id, now().plus_secs(-150)).unwrap();
    assert!(!world.ssh_as("cairn-control", &stale, "id").success);
    let stranger = CertificateAuthority::open(&world.files.path().join("stranger")).unwrap();
    let forged = stranger.mint_control(world.target.node_id, now()).unwrap();
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
        let signed = std::process::Command::new("ssh-keygen")
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
