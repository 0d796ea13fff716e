//! Everything may be said twice, and nothing that is out of date is obeyed.
use std::process::Stdio;
use std::time::{Duration, Instant};

use cairn_node::{Answer, Kind, Operation, Step};

use super::support::{
    OTHER, ask, done, ensure, node, nothing_is_left, observe, refused, request, torn_down, undo,
};

#[test]
fn every_step_and_every_undo_may_be_done_twice() {
    let Some(node) = node("repeats") else { return };
    for round in ["a", "b"] {
        for step in Step::ALL {
            let first = done(&node, &ensure(step, &format!("{round}-do-{}-1", step.name())));
            let again = done(&node, &ensure(step, &format!("{round}-do-{}-2", step.name())));
            assert_eq!(first, again);
        }
        let observed = observe(&node);
        assert!(observed.access.is_some() && observed.limits.is_some(), "{observed:?}");
        for step in Step::ALL.into_iter().rev() {
            done(&node, &undo(step, &format!("{round}-undo-{}-1", step.name())));
            done(&node, &undo(step, &format!("{round}-undo-{}-2", step.name())));
        }
        nothing_is_left(&node);
    }
    assert_eq!(torn_down(&node, "down-1", 2), Vec::<String>::new());
    assert_eq!(torn_down(&node, "down-2", 2), Vec::<String>::new());
}

#[test]
fn a_home_is_as_large_as_it_was_sold() {
    let Some(node) = node("home") else { return };
    for step in Step::ALL {
        done(&node, &ensure(step, step.name()));
    }
    let write = |megabytes: &str| {
        let count = format!("count={megabytes}");
        let argv = ["runuser", "-u", "t20000", "--", "dd", "if=/dev/zero", "of=/home/t20000/f"];
        node.exec(&[&argv[..], &["bs=1M", &count]].concat()).unwrap()
    };
    let fits = write("8");
    assert!(fits.success, "{fits:?}");
    let overflows = write("40");
    assert!(overflows.stderr.contains("No space left"), "{overflows:?}");
    node.run(&["cp", "/bin/true", "/home/t20000/setuid"]).unwrap();
    assert!(
        node.run(&["grep", " /home/t20000 ", "/proc/self/mountinfo"])
            .unwrap()
            .contains("nosuid,nodev")
    );
}

#[test]
fn the_same_key_answers_the_same_whatever_has_changed_since() {
    let Some(node) = node("journal") else { return };
    let first = ask(&node, &ensure(Step::Uid, "k1"));
    assert!(matches!(first, Answer::Done { replayed: false, .. }), "{first:?}");
    assert_eq!(torn_down(&node, "k2", 2), Vec::<String>::new());
    let again = ask(&node, &ensure(Step::Uid, "k1"));
    assert!(matches!(again, Answer::Done { replayed: true, .. }), "{again:?}");
    assert_eq!(observe(&node).uid, None);
    let misused = refused(&node, &ensure(Step::Home, "k1"));
    assert_eq!(misused, (Kind::Permanent, "key_reused".to_owned()));
}

#[test]
fn of_many_who_ask_at_once_under_one_key_one_acts() {
    let Some(node) = node("crowd") else { return };
    done(&node, &ensure(Step::Uid, "k1"));
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let ask = || ask(&node, &ensure(Step::Home, "k2"));
        let crowd: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
        crowd.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let acted = answers.iter().filter(|a| matches!(a, Answer::Done { replayed: false, .. }));
    assert_eq!(acted.count(), 1, "{answers:?}");
    let repeated = answers.iter().filter(|a| matches!(a, Answer::Done { replayed: true, .. }));
    assert_eq!(repeated.count(), 5, "{answers:?}");
}

#[test]
fn an_older_generation_is_refused_and_changes_nothing() {
    let Some(node) = node("generation") else { return };
    done(&node, &ensure(Step::Uid, "k1"));
    assert_eq!(torn_down(&node, "k2", 3), Vec::<String>::new());
    let late = refused(&node, &ensure(Step::Uid, "late"));
    assert_eq!(late.1, "stale_generation");
    let mut same = ensure(Step::Uid, "same");
    same.generation = 3;
    assert_eq!(refused(&node, &same).1, "allocation_gone");
    assert_eq!(observe(&node).uid, None);
    same.generation = 4;
    done(&node, &same);
}

#[test]
fn two_allocations_cannot_have_one_uid() {
    let Some(node) = node("uids") else { return };
    done(&node, &ensure(Step::Uid, "k1"));
    let mut other = ensure(Step::Uid, "k2");
    other.allocation_id = OTHER.to_owned();
    assert_eq!(refused(&node, &other), (Kind::Permanent, "uid_taken".to_owned()));
    // Nor may the loser's teardown touch what the winner has.
    let mut teardown = request(Operation::Teardown, "k3", 2);
    teardown.allocation_id = OTHER.to_owned();
    assert!(matches!(ask(&node, &teardown), Answer::TornDown { left, .. } if left.is_empty()));
    assert!(observe(&node).uid.is_some());
}

#[test]
fn a_request_that_is_not_understood_changes_nothing() {
    let Some(node) = node("nonsense") else { return };
    for nonsense in ["", "{}", "{\"op\":\"format\"}", "{\"op\":\"facts\",\"shell\":\"rm\"}"] {
        let said = node.helper(&["serve"], nonsense.as_bytes()).unwrap();
        let answer: Answer = serde_json::from_str(&said.stdout).unwrap();
        assert!(matches!(&answer, Answer::Refused { code, .. } if code == "request_invalid"));
    }
    let mut injected = ensure(Step::Uid, "k1");
    injected.allocation_id = "../../etc".to_owned();
    assert_eq!(refused(&node, &injected).1, "allocation_id_invalid");
    let mut injected = ensure(Step::Uid, "k1");
    injected.args.tenant.as_mut().unwrap().login = "t20000; reboot".to_owned();
    assert_eq!(refused(&node, &injected).1, "login_invalid");
    let mut root = ensure(Step::Uid, "k1");
    let tenant = root.args.tenant.as_mut().unwrap();
    (tenant.uid, tenant.login) = (0, "t0".to_owned());
    assert_eq!(refused(&node, &root).1, "uid_invalid");
}

#[test]
fn a_helper_killed_on_the_way_is_simply_asked_again() {
    let Some(node) = node("killed") else { return };
    let (mut died, mut round) = (0, 0);
    let deadline = Instant::now() + Duration::from_secs(40);
    while died < 12 && Instant::now() < deadline {
        round += 1;
        let generation = round * 2 - 1;
        for (number, step) in Step::ALL.into_iter().enumerate() {
            let mut request = ensure(step, &format!("{round}-{}", step.name()));
            request.generation = generation;
            let after = Duration::from_micros(300 * (round * 7 + number as u64 * 5) % 12_000);
            died += usize::from(killed_after(&node, &request, after));
            done(&node, &request);
        }
        let mut request = request(Operation::Teardown, &format!("{round}-down"), generation + 1);
        let after = Duration::from_millis(round * 9 % 60);
        died += usize::from(killed_after(&node, &request, after));
        request.args.tenant = None;
        assert!(matches!(ask(&node, &request), Answer::TornDown { left, .. } if left.is_empty()));
        nothing_is_left(&node);
    }
    assert!(died >= 12, "only {died} of the kills hit a helper at work");
}

/// Whether the helper, and whatever it had started, died before it could answer.
fn killed_after(
    node: &cairn_testbed::NamespaceNode,
    request: &cairn_node::Request,
    after: Duration,
) -> bool {
    let text = serde_json::to_string(request).unwrap();
    let script = format!("printf %s '{text}' | exec {} serve", node.helper_path());
    let mut child = node
        .command(&["setsid", "--wait", "sh", "-c", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(after);
    let hit = node.exec(&["pkill", "-KILL", "-f", "cairn-node serve"]).unwrap().success;
    let output = {
        child.wait().unwrap();
        child.wait_with_output().unwrap()
    };
    hit && !String::from_utf8_lossy(&output.stdout).contains("result")
}

#[test]
fn facts_are_true() {
    let Some(node) = node("facts") else { return };
    let request = cairn_node::Request {
        op: Operation::Facts,
        allocation_id: String::new(),
        generation: 0,
        key: String::new(),
        args: cairn_node::Arguments::default(),
    };
    let Answer::Facts(facts) = ask(&node, &request) else { panic!("no facts") };
    assert_eq!(facts.hostname, "facts");
    assert_eq!(facts.missing, Vec::<String>::new());
    assert!(facts.total.cpu_millis >= 1_000 && facts.total.memory_bytes > 1 << 20, "{facts:?}");
}
