//! What a tenant does to stay, or to shut itself out.
use cairn_node::{Kind, Step};

use super::support::{done, ensure, node, nothing_is_left, refused, torn_down};

#[test]
fn what_is_mounted_below_a_home_does_not_keep_it() {
    let Some(node) = node("mounts") else { return };
    for step in Step::ALL {
        done(&node, &ensure(step, step.name()));
    }
    // Two, one in the other, and somebody at work in the inner one.
    let script = "cd /home/t20000 && mkdir 'a b' && mount -t tmpfs x 'a b' && mkdir 'a b/c' && mount -t tmpfs y 'a b/c'
        cd 'a b/c' && (sleep 1000 >/dev/null 2>&1 &) && grep -c /home/t20000 /proc/self/mountinfo";
    assert_eq!(node.run(&["sh", "-c", script]).unwrap(), "3\n");
    assert_eq!(torn_down(&node, "down", 2), Vec::<String>::new());
    nothing_is_left(&node);
}

#[test]
fn a_link_is_removed_and_not_what_it_points_to() {
    let Some(node) = node("links") else { return };
    for step in Step::ALL {
        done(&node, &ensure(step, step.name()));
    }
    // A stranger's open directory in which the tenant's own became a link to one of root's.
    let script = "mkdir -p /run/roots/inner && echo kept > /run/roots/file && echo kept > /run/roots/inner/file
        mkdir -m 777 /tmp/open && chown 30000 /tmp/open && echo lost > /tmp/open/file && chown 20000 /tmp/open/file
        ln -s /run/roots /tmp/open/link && chown -h 20000 /tmp/open/link && ln -s /run/roots /tmp/open/strangers";
    node.run(&["sh", "-c", script]).unwrap();
    assert_eq!(torn_down(&node, "down", 2), Vec::<String>::new());
    let look = "cat /run/roots/file /run/roots/inner/file; ls /tmp/open";
    assert_eq!(node.run(&["sh", "-c", look]).unwrap(), "kept\nkept\nstrangers\n");
    nothing_is_left(&node);
}

#[test]
fn a_tenants_own_lost_and_found_does_not_lock_it_out() {
    let Some(node) = node("found") else { return };
    for step in Step::ALL {
        done(&node, &ensure(step, step.name()));
    }
    let own = "mkdir -p /home/t20000/lost+found && echo mine > /home/t20000/lost+found/file";
    node.run(&["runuser", "-u", "t20000", "--", "sh", "-c", own]).unwrap();
    node.run(&["umount", "/home/t20000"]).unwrap();
    done(&node, &ensure(Step::Home, "again"));
    assert_eq!(node.run(&["cat", "/home/t20000/lost+found/file"]).unwrap(), "mine\n");
}

#[test]
fn an_account_without_its_own_group_number_is_not_sold() {
    let Some(node) = node("groups") else { return };
    done(&node, &ensure(Step::Uid, "uid"));
    done(&node, &ensure(Step::Home, "home"));
    node.run(&["groupadd", "--gid", "20000", "strangers"]).unwrap();
    let failed = refused(&node, &ensure(Step::User, "user"));
    assert_eq!(failed, (Kind::Permanent, "account_failed".to_owned()));
    node.run(&["groupdel", "strangers"]).unwrap();
    done(&node, &ensure(Step::User, "user"));
    assert_eq!(node.run(&["id", "-g", "t20000"]).unwrap(), "20000\n");
    assert_eq!(torn_down(&node, "down", 2), Vec::<String>::new());
    nothing_is_left(&node);
}

#[test]
fn a_tenant_gets_no_service_manager_of_its_own() {
    let Some(node) = node("manager") else { return };
    let mask = "/etc/systemd/system/user@20000.service";
    node.run(&["mkdir", "-p", "/run/systemd/system"]).unwrap();
    for step in Step::ALL {
        done(&node, &ensure(step, step.name()));
    }
    assert_eq!(node.run(&["readlink", mask]).unwrap(), "/dev/null\n");
    assert_eq!(torn_down(&node, "down", 2), Vec::<String>::new());
    assert_eq!(node.run(&["sh", "-c", &format!("ls {mask} 2>/dev/null; true")]).unwrap(), "");
    nothing_is_left(&node);
}
