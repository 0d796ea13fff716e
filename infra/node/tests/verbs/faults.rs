//! A step that fails fails alone, says why, and leaves nothing behind after a teardown.
use cairn_node::{Kind, Step};
use cairn_testbed::Step as Broken;

use super::support::{done, ensure, node, nothing_is_left, refused, torn_down};

#[test]
fn every_step_fails_for_its_own_reason_and_leaves_nothing() {
    let Some(node) = node("faults") else { return };
    let cases = [
        (Step::Uid, Broken::Uid, "uid_taken"),
        (Step::Home, Broken::Home, "home_image_failed"),
        (Step::User, Broken::User, "login_taken"),
        (Step::Limits, Broken::Limits, "read_only"),
        (Step::Access, Broken::Access, "read_only"),
    ];
    let mut generation = 0;
    for (step, broken, code) in cases {
        generation += 2;
        let at = |step: Step, what: &str| {
            let mut request = ensure(step, &format!("{generation}-{}-{what}", step.name()));
            request.generation = generation;
            request
        };
        node.break_step(broken).unwrap();
        for before in Step::ALL.into_iter().take_while(|before| *before != step) {
            done(&node, &at(before, "before"));
        }
        let failed = refused(&node, &at(step, "broken"));
        assert_eq!(failed, (Kind::Permanent, code.to_owned()), "{step:?}");
        let key = format!("{generation}-down");
        assert_eq!(torn_down(&node, &key, generation + 1), Vec::<String>::new(), "{step:?}");
        node.mend(broken).unwrap();
        nothing_is_left(&node);
    }
    generation += 2;
    for step in Step::ALL {
        let mut request = ensure(step, &format!("mended-{}", step.name()));
        request.generation = generation;
        done(&node, &request);
    }
    assert_eq!(torn_down(&node, "last", generation + 1), Vec::<String>::new());
}

#[test]
fn a_failed_step_may_be_tried_again_under_its_key_once_it_is_mended() {
    let Some(node) = node("mended") else { return };
    done(&node, &ensure(Step::Uid, "k1"));
    node.break_step(Broken::Home).unwrap();
    refused(&node, &ensure(Step::Home, "k2"));
    node.mend(Broken::Home).unwrap();
    done(&node, &ensure(Step::Home, "k2"));
}

#[test]
fn a_tenant_who_hides_things_loses_them_all() {
    let Some(node) = node("hidden") else { return };
    for step in Step::ALL {
        done(&node, &ensure(step, step.name()));
    }
    let hide = "mkdir -p /tmp/a/b /var/tmp/x; echo 1 > /tmp/a/b/c; echo 1 > /dev/shm/s; echo 1 > /home/t20000/f
        ln -s /etc/passwd /tmp/link; ipcmk -M 4096 >/dev/null; ipcmk -S 1 >/dev/null; ipcmk -Q >/dev/null
        setsid nohup sleep 1000 >/dev/null 2>&1 & trap '' TERM; sleep 0.1";
    node.run(&["runuser", "-u", "t20000", "--", "sh", "-c", hide]).unwrap();
    node.run(&["sh", "-c", "mkdir -p /var/mail; echo m > /var/mail/t20000"]).unwrap();
    let before = node.run(&["sh", "-c", "pgrep -u 20000 | wc -l; ipcs | grep -c t20000"]).unwrap();
    assert_eq!(before, "1\n3\n");
    assert_eq!(torn_down(&node, "down", 2), Vec::<String>::new());
    nothing_is_left(&node);
    assert_eq!(node.run(&["sh", "-c", "ipcs | grep -c 4096; ls /var/mail; true"]).unwrap(), "0\n");
    assert_eq!(node.run(&["grep", "-c", "^root:", "/etc/passwd"]).unwrap(), "1\n");
}

#[test]
fn what_is_still_there_is_named() {
    let Some(node) = node("named") else { return };
    for step in Step::ALL {
        done(&node, &ensure(step, step.name()));
    }
    node.break_step(Broken::Access).unwrap();
    let left = torn_down(&node, "down", 2);
    assert!(left.iter().any(|item| item == "file /etc/ssh/cairn/keys/t20000"), "{left:?}");
    node.mend(Broken::Access).unwrap();
    // Not journalled as done: the same key looks again.
    assert_eq!(torn_down(&node, "down", 2), Vec::<String>::new());
    nothing_is_left(&node);
}
