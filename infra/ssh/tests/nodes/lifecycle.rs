//! From enrolment to nothing left.
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use cairn_commands::ports::{FailureKind, NodePort};
use cairn_compute::Step;
use cairn_core::NodeId;
use cairn_ssh::{Applicant, CertificateAuthority, EnrolResponse, SignedEnrolment};
use cairn_testbed::Step as Broken;

use super::support::{enrol, enrol_as, enrol_with, key, now, nowhere, world};

#[test]
fn a_rental_from_enrolment_to_nothing_left() {
    let Some(world) = world("rental") else { return };
    let report = world.runtime.block_on(world.nodes.probe(&world.target)).unwrap();
    let facts = report.facts;
    assert_eq!(facts.hostname, "rental");
    assert!(facts.total.cpu_millis >= 1_000, "{facts:?}");
    assert_eq!(report.usage, None, "a node of the testbed does not judge the whole machine");
    let proof = world.provision();
    assert!(proof.starts_with("uid=20000(t20000) gid=20000(t20000)"), "{proof}");
    // The customer's own ssh, with the customer's own key, believing the host authority alone.
    let said = world.ssh("id -un; pwd; echo hello > note; cat note; stat -f -c %T .");
    assert_eq!(said.stdout, "t20000\n/home/t20000\nhello\next2/ext3\n", "{said:?}");
    assert_eq!(world.teardown(2), Vec::<String>::new());
    world.nothing_is_left();
    let after = world.ssh("id");
    assert!(!after.success && after.stderr.contains("Permission denied"), "{after:?}");
    assert_eq!(world.teardown(2), Vec::<String>::new());
}

#[test]
fn a_probe_says_what_is_in_use() {
    let Some(world) = world("usage") else { return };
    let measure = "s/\"measure_usage\": false/\"measure_usage\": true/";
    world.node.run(&["sed", "-i", measure, "/etc/cairn-node/config.json"]).unwrap();
    let report = world.runtime.block_on(world.nodes.probe(&world.target)).unwrap();
    let usage = report.usage.unwrap();
    assert!((1..1_000).contains(&usage.memory_permille), "{usage:?}");
    assert!(usage.disk_permille <= 1_000, "{usage:?}");
}

#[test]
fn every_step_that_fails_says_so_and_leaves_nothing() {
    let Some(world) = world("failing") else { return };
    let steps =
        [Broken::Uid, Broken::Home, Broken::User, Broken::Limits, Broken::Access, Broken::Prove];
    for (number, (step, broken)) in Step::ALL.into_iter().zip(steps).enumerate() {
        let generation = 2 * number as u64 + 1;
        world.node.break_step(broken).unwrap();
        for before in Step::ALL.into_iter().take_while(|before| *before != step) {
            world.ensure(before, generation).unwrap();
        }
        let failure = world.ensure(step, generation).expect_err("the obstruction did not bite");
        assert_eq!(failure.kind, FailureKind::Permanent, "{step:?}: {failure}");
        if step == Step::Prove {
            assert_eq!(failure.code, "login_refused", "{failure}");
        }
        assert_eq!(world.teardown(generation + 1), Vec::<String>::new(), "{step:?}");
        world.node.mend(broken).unwrap();
        world.nothing_is_left();
    }
}

#[test]
fn a_teardown_ends_open_sessions_and_what_they_left_running() {
    let Some(world) = world("open") else { return };
    world.provision();
    let left = world.ssh("setsid nohup sleep 1000 >/dev/null 2>&1 & echo started");
    assert_eq!(left.stdout, "started\n", "{left:?}");
    let identity = world.files.path().join("customer");
    let mut open =
        world.ssh_command("t20000", &identity).args(["-tt", "sleep 1000"]).spawn().unwrap();
    let counted = || world.node.run(&["pgrep", "-c", "-u", "20000", "sleep"]).unwrap_or_default();
    let deadline = Instant::now() + Duration::from_secs(10);
    while counted() != "2\n" && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(counted(), "2\n");
    assert_eq!(world.teardown(2), Vec::<String>::new());
    world.nothing_is_left();
    assert!(!open.wait().unwrap().success());
}

#[test]
fn what_is_suspended_lets_nobody_in_and_goes_on_with_its_data() {
    let Some(world) = world("suspended") else { return };
    world.provision();
    let script = "echo kept > note; setsid nohup sleep 1000 >/dev/null 2>&1 & echo started";
    assert_eq!(world.ssh(script).stdout, "started\n");
    let identity = world.files.path().join("customer");
    let mut open =
        world.ssh_command("t20000", &identity).args(["-tt", "sleep 1000"]).spawn().unwrap();
    let counted = || world.node.run(&["pgrep", "-c", "-u", "20000", "sleep"]).unwrap_or_default();
    let deadline = Instant::now() + Duration::from_secs(10);
    while counted() != "2\n" && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(counted(), "2\n", "there is something to end");
    let observed = world.suspend(2).unwrap();
    assert!(observed.contains("uid 20000: none"), "{observed}");
    assert!(!open.wait().unwrap().success());
    assert_ne!(counted(), "2\n");
    let shut = world.ssh("id");
    assert!(!shut.success && shut.stderr.contains("Permission denied"), "{shut:?}");
    assert!(world.ensure(Step::Prove, 2).is_err(), "Cairn itself does not get in either");
    world.ensure(Step::Access, 3).unwrap();
    world.ensure(Step::Prove, 3).unwrap();
    assert_eq!(world.ssh("cat note").stdout, "kept\n");
    assert_eq!(world.suspend(2).map_err(|late| late.code), Ok(observed), "a repeat is answered");
    assert_eq!(world.ssh("cat note").stdout, "kept\n", "and changes nothing");
    assert_eq!(world.teardown(4), Vec::<String>::new());
    world.nothing_is_left();
}

#[test]
fn what_a_reboot_took_away_is_back_when_the_tenant_logs_in() {
    let Some(world) = world("reboot") else { return };
    world.provision();
    assert!(world.ssh("echo kept > note").success);
    world.node.run(&["umount", "/home/t20000"]).unwrap();
    // The last session is still on its way out.
    let deadline = Instant::now() + Duration::from_secs(10);
    while !world.node.cgroups().iter().all(|group| std::fs::remove_dir(group).is_ok()) {
        assert!(Instant::now() < deadline, "the cgroup does not empty");
        std::thread::sleep(Duration::from_millis(20));
    }
    let said = world.ssh("cat note; cat /proc/self/cgroup");
    assert!(said.stdout.starts_with("kept\n"), "{said:?}");
    assert!(said.stdout.contains(&world.tenant().allocation_id.to_string()), "{said:?}");
}

#[test]
fn host_certificates_are_renewed_long_before_they_end() {
    let Some(world) = world("renewal") else { return };
    let serials = || {
        let show =
            "for c in /etc/ssh/cairn/host_*-cert.pub; do ssh-keygen -L -f $c | grep Serial; done";
        world.node.run(&["sh", "-c", show]).unwrap()
    };
    let first = serials();
    world.runtime.block_on(world.nodes.probe(&world.target)).unwrap();
    assert_eq!(serials(), first, "good certificates are left alone");
    let soon = world.certified_for_days(20);
    world.node.run(&["sh", "-c", &soon]).unwrap();
    world.runtime.block_on(world.nodes.probe(&world.target)).unwrap();
    assert_ne!(serials(), first);
    world.runtime.block_on(world.nodes.probe(&world.target)).unwrap();
    world.provision();
    assert!(world.ssh("true").success, "the customer trusts the renewed certificate");
}

#[test]
fn a_step_repeated_after_a_lost_answer_answers_the_same() {
    let Some(world) = world("lost") else { return };
    let first = world.ensure(Step::Uid, 1).unwrap();
    assert_eq!(world.ensure(Step::Uid, 1).unwrap(), first);
    world.ensure(Step::Home, 3).unwrap();
    let late = world.ensure(Step::User, 2).expect_err("an older wish was obeyed");
    assert_eq!(late.code, "stale_generation");
}

#[test]
fn a_node_that_does_not_answer_is_worth_another_try() {
    let Some(world) = world("gone") else { return };
    let (address, port) = nowhere();
    let target = cairn_commands::ports::NodeTarget {
        address: address.to_string(),
        port,
        ..world.target.clone()
    };
    let (tenant, key) = (world.tenant(), key("k", 1));
    let call = world.nodes.ensure(&target, &tenant, Step::Uid, &key);
    let failure = world.runtime.block_on(call).unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Transient, "node_unreachable"));
}

#[test]
fn an_answer_from_another_control_plane_is_not_installed() {
    let Some(world) = world("enrolment") else { return };
    let drop_in = "/etc/ssh/sshd_config.d/00-cairn.conf";
    let before = world.node.run(&["cat", drop_in]).unwrap();
    let other = CertificateAuthority::open(&world.files.path().join("other")).unwrap();
    let expected = world.authority.fingerprint();
    let refused = enrol_as(&world.node, &other, NodeId::from_bits(7), &expected).unwrap_err();
    assert!(refused.contains("answer_untrusted"), "{refused}");
    assert_eq!(world.node.run(&["cat", drop_in]).unwrap(), before);
    world.runtime.block_on(world.nodes.probe(&world.target)).unwrap();
    // Enrolling again, for example after a quarantine, is an ordinary thing.
    enrol(&world.node, &world.authority, NodeId::from_bits(7)).unwrap();
    world.runtime.block_on(world.nodes.probe(&world.target)).unwrap();
}

/// Signs as `ssh-keygen` does, with a key in a file.
fn sign(text: &str, key: &Path, place: &Path) -> SignedEnrolment {
    let file = place.join("to-be-signed");
    std::fs::write(&file, text).unwrap();
    let _old = std::fs::remove_file(place.join("to-be-signed.sig"));
    let signed = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", "cairn-enrol", "-f"])
        .args([key, &file])
        .status();
    assert!(signed.unwrap().success());
    let signature = std::fs::read_to_string(place.join("to-be-signed.sig")).unwrap();
    SignedEnrolment { answer: text.to_owned(), signature }
}

#[test]
fn an_answer_with_a_second_authority_behind_the_named_one_is_not_installed() {
    let Some(world) = world("smuggled") else { return };
    let authority = "/etc/ssh/cairn/control_authority.pub";
    let before = world.node.run(&["cat", authority]).unwrap();
    let place = world.files.path();
    let other = CertificateAuthority::open(&place.join("other")).unwrap();
    let named = world.authority.known_hosts_line().unwrap();
    let named = named.strip_prefix("@cert-authority * ").unwrap().to_owned();
    let expected = world.authority.fingerprint();
    let answer = |applicant: &Applicant, second: bool| {
        let genuine = other.admit(applicant, now()).unwrap().answer.answer;
        let mut response: EnrolResponse = serde_json::from_str(&genuine).unwrap();
        let theirs = response.host_authority.clone();
        response.host_authority = if second { format!("{named}\ncairn {theirs}") } else { theirs };
        let text = serde_json::to_string(&response).unwrap();
        sign(&text, &place.join("other/host_ca"), place)
    };
    let smuggled = |applicant: &Applicant| answer(applicant, true);
    let refused = enrol_with(&world.node, smuggled, NodeId::from_bits(7), &expected).unwrap_err();
    assert!(refused.contains("answer_untrusted"), "{refused}");
    assert_eq!(world.node.run(&["cat", authority]).unwrap(), before);
    // The other one alone, under its own name, is fine: what was refused is the second line.
    let alone = |applicant: &Applicant| answer(applicant, false);
    enrol_with(&world.node, alone, NodeId::from_bits(7), &other.fingerprint()).unwrap();
    assert_ne!(world.node.run(&["cat", authority]).unwrap(), before);
}
