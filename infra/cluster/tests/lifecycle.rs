//! A cluster's life, with the ends that nobody planned.
use cairn_cluster::{Cluster, ClusterConfig, ClusterError};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn config(directory: &Path) -> ClusterConfig {
    ClusterConfig { directory: directory.to_owned(), durable: true, settings: Vec::new() }
}

fn start(directory: &Path) -> Cluster {
    Cluster::start(config(directory)).expect("a cluster")
}

/// A directory anybody may enter; `tempfile` makes them for their owner only.
fn open_directory() -> TempDir {
    let made = tempfile::tempdir().expect("a directory");
    fs::set_permissions(made.path(), fs::Permissions::from_mode(0o755)).expect("opened");
    made
}

fn sql(cluster: &Cluster, statement: &str) -> String {
    let output = Command::new(cluster.binaries().join("psql"))
        .args(["-qtAX", "-v", "ON_ERROR_STOP=1", "-d"])
        .arg(cluster.url("postgres"))
        .args(["-c", statement])
        .output()
        .expect("psql runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn remember(cluster: &Cluster) {
    sql(cluster, "CREATE TABLE stones AS SELECT 7 AS height");
}

fn assert_remembered(cluster: &Cluster) {
    assert_eq!(sql(cluster, "SELECT height FROM stones"), "7");
}

fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "it never came to pass");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Kills one process, nobody below it, and waits until it is dead: a signal that was sent has not struck yet.
fn kill(pid: u32) {
    let killed = Command::new("sh").args(["-c", "kill -9 \"$0\"", &pid.to_string()]).status();
    assert!(killed.expect("sh runs").success());
    until(|| !is_alive(pid));
}

/// Another process that holds the cluster of this directory until it is killed.
struct Holder(Child);

impl Holder {
    fn of(directory: &Path) -> Self {
        let ready = directory.join("held");
        let child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "hold_the_cluster_of_the_current_directory", "--ignored"])
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("a second process");
        until(|| ready.exists());
        Self(child)
    }

    fn kill(mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("buried");
    }
}

#[test]
#[ignore = "not a test: the second process of other tests"]
fn hold_the_cluster_of_the_current_directory() {
    let directory = std::env::current_dir().expect("a directory");
    let cluster = start(&directory);
    remember(&cluster);
    fs::write(directory.join("held"), "").expect("said so");
    // Until the other side goes away.
    let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
    cluster.stop();
}

#[test]
fn the_second_start_finds_the_data_of_the_first() {
    let directory = open_directory();
    let first = start(directory.path());
    remember(&first);
    first.create_database("mountain").expect("made");
    first.create_database("mountain").expect("made already");
    let pid = first.pid().expect("it runs");
    first.stop();
    assert!(!is_alive(pid));
    let second = start(directory.path());
    assert_remembered(&second);
    assert_eq!(sql(&second, "SELECT count(*) FROM pg_database WHERE datname = 'mountain'"), "1");
}

#[test]
fn the_server_is_never_root_and_listens_on_no_network() {
    let directory = open_directory();
    let cluster = start(directory.path());
    let pid = cluster.pid().expect("it runs");
    let owner = fs::metadata(format!("/proc/{pid}")).expect("a process").uid();
    assert_ne!(owner, 0);
    assert_eq!(sql(&cluster, "SHOW listen_addresses"), "");
    let socket = fs::metadata(cluster.socket_directory()).expect("a directory");
    assert_eq!((socket.mode() & 0o777, socket.uid()), (0o700, owner));
}

#[test]
fn a_killed_tree_loses_nothing_that_was_committed() {
    let directory = open_directory();
    let mut cluster = start(directory.path());
    remember(&cluster);
    let pid = cluster.pid().expect("it runs");
    cluster.kill_tree();
    assert!(!is_alive(pid) && !cluster.is_running());
    cluster.restart().expect("up again");
    assert_remembered(&cluster);
    assert_ne!(cluster.pid().expect("it runs"), pid);
}

#[test]
fn a_killed_tree_does_not_block_the_next_start() {
    let directory = open_directory();
    let mut cluster = start(directory.path());
    remember(&cluster);
    cluster.kill_tree();
    cluster.stop();
    assert_remembered(&start(directory.path()));
}

#[test]
fn a_postmaster_killed_alone_does_not_block_the_next_start() {
    let directory = open_directory();
    let mut cluster = start(directory.path());
    remember(&cluster);
    kill(cluster.pid().expect("it runs"));
    cluster.restart().expect("up again");
    assert_remembered(&cluster);
}

#[test]
fn the_server_of_a_killed_parent_is_taken_over_and_stopped() {
    let directory = open_directory();
    let holder = Holder::of(directory.path());
    holder.kill();
    let file = directory.path().join("data/postmaster.pid");
    let orphan: u32 = fs::read_to_string(file)
        .expect("a pid file")
        .lines()
        .next()
        .expect("a line")
        .parse()
        .expect("a pid");
    assert!(is_alive(orphan), "the orphan outlives its parent, or this test proves nothing");
    let cluster = start(directory.path());
    assert_remembered(&cluster);
    assert!(!is_alive(orphan));
    let pid = cluster.pid().expect("it runs");
    cluster.stop();
    assert!(!is_alive(pid));
}

#[test]
fn a_second_process_joins_and_the_last_one_out_stops_the_server() {
    let directory = open_directory();
    let mut holder = Holder::of(directory.path());
    let joined = start(directory.path());
    assert_remembered(&joined);
    let pid = joined.pid().expect("it runs");
    drop(holder.0.stdin.take());
    holder.0.wait().expect("it left in order");
    assert_remembered(&joined);
    assert_eq!(joined.pid(), Some(pid));
    joined.stop();
    assert!(!is_alive(pid));
}

#[test]
fn a_pid_file_that_names_somebody_else_is_healed() {
    let directory = open_directory();
    let mut cluster = start(directory.path());
    remember(&cluster);
    cluster.kill_tree();
    let file = directory.path().join("data/postmaster.pid");
    for content in [format!("{}\n", std::process::id()), String::new(), "no number\n".into()] {
        fs::write(&file, content).expect("written");
        fs::write(cluster.socket_directory().join(".s.PGSQL.5432.lock"), "1\n").expect("written");
        cluster.restart().expect("up again");
        assert_remembered(&cluster);
        cluster.kill_tree();
    }
}

/// A dead process of the server's account that nobody buries: signals still find its number.
fn zombie(data: &Path) -> Child {
    let owner = fs::metadata(data).expect("data");
    let mut command = Command::new("true");
    if fs::metadata("/proc/self").expect("a process").uid() == 0 {
        command.uid(owner.uid()).gid(owner.gid());
    }
    let child = command.current_dir("/").spawn().expect("a process");
    let stat = format!("/proc/{}/stat", child.id());
    until(|| fs::read_to_string(&stat).expect("it stays in the table").contains(") Z "));
    child
}

#[test]
fn a_pid_file_that_names_a_process_nobody_buried_is_healed() {
    let directory = open_directory();
    let mut cluster = start(directory.path());
    remember(&cluster);
    cluster.kill_tree();
    let mut dead = zombie(&directory.path().join("data"));
    let file = directory.path().join("data/postmaster.pid");
    fs::write(&file, format!("{}\n", dead.id())).expect("written");
    cluster.restart().expect("up again");
    assert_remembered(&cluster);
    dead.wait().expect("buried");
}

#[test]
fn the_server_that_another_user_started_again_is_left_alone() {
    let directory = open_directory();
    let mut first = start(directory.path());
    let mut second = start(directory.path());
    remember(&first);
    kill(first.pid().expect("it runs"));
    // The first has not buried its own server yet, when the second starts another one.
    assert!(second.restart().expect("up again"), "the fault bit");
    let pid = second.pid().expect("it runs");
    assert!(!first.restart().expect("it runs already"));
    assert_eq!(first.pid(), Some(pid));
    second.stop();
    assert!(is_alive(pid), "somebody still uses it");
    first.stop();
    assert!(!is_alive(pid), "the last one out stops what runs, not what it once started");
}

#[test]
fn a_server_that_cannot_be_told_to_be_gone_is_not_touched() {
    let directory = open_directory();
    let mut cluster = start(directory.path());
    let pid = cluster.pid().expect("it runs");
    let (file, away) = (directory.path().join("data/postmaster.pid"), directory.path().join("pid"));
    fs::rename(&file, &away).expect("moved");
    fs::create_dir(&file).expect("what cannot be read as a file");
    assert!(matches!(cluster.restart(), Err(ClusterError::Io { .. })));
    fs::remove_dir(&file).expect("removed");
    fs::rename(&away, &file).expect("moved back");
    assert_eq!((cluster.pid(), is_alive(pid)), (Some(pid), true));
}

#[test]
fn who_joins_while_the_server_is_down_waits_for_its_users_to_start_it() {
    let directory = open_directory();
    let mut cluster = start(directory.path());
    remember(&cluster);
    cluster.kill_tree();
    let path = directory.path().to_owned();
    let joining = std::thread::spawn(move || start(&path));
    // It has had its turn and gave it back, or has not begun yet: either way it must get in.
    std::thread::sleep(Duration::from_millis(300));
    assert!(!joining.is_finished(), "there was nothing to join");
    cluster.restart().expect("up again");
    assert_remembered(&joining.join().expect("it joined"));
}

#[test]
fn two_who_make_the_same_database_both_have_it() {
    let directory = open_directory();
    let cluster = start(directory.path());
    std::thread::scope(|scope| {
        for name in ["a", "a", "a", "b", "b", "b"] {
            scope.spawn(|| cluster.create_database(name).expect("made"));
        }
    });
    assert_eq!(sql(&cluster, "SELECT count(*) FROM pg_database WHERE datname IN ('a', 'b')"), "2");
}

#[test]
fn what_was_made_without_durability_is_made_anew_when_nobody_uses_it() {
    let directory = open_directory();
    let volatile = || ClusterConfig { durable: false, ..config(directory.path()) };
    let first = Cluster::start(volatile()).expect("a cluster");
    remember(&first);
    let second = Cluster::start(volatile()).expect("joined");
    first.stop();
    assert_remembered(&second);
    second.stop();
    let third = Cluster::start(volatile()).expect("a cluster");
    assert_eq!(sql(&third, "SELECT count(*) FROM pg_class WHERE relname = 'stones'"), "0");
}

#[test]
fn what_was_made_with_durability_outlives_a_careless_user() {
    let directory = open_directory();
    let first = start(directory.path());
    remember(&first);
    first.stop();
    let careless = ClusterConfig { durable: false, ..config(directory.path()) };
    assert_remembered(&Cluster::start(careless).expect("a cluster"));
}

#[test]
fn log_and_locks_belong_to_the_account_of_the_server() {
    let directory = open_directory();
    let cluster = start(directory.path());
    let owner = |name: &str| fs::metadata(cluster.location().join(name)).expect(name).uid();
    let expected = owner("data");
    for name in ["postgres.log", "start.lock", "users.lock"] {
        assert_eq!(owner(name), expected, "{name}");
    }
}

#[test]
fn an_interrupted_note_of_the_place_blocks_nothing() {
    let closed = tempfile::tempdir().expect("a directory");
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).expect("closed");
    let directory = closed.path().join("cluster");
    let cluster = start(&directory);
    remember(&cluster);
    cluster.stop();
    fs::write(directory.join("LOCATION"), "").expect("written");
    let again = start(&directory);
    assert_remembered(&again);
    again.remove();
}

#[test]
fn a_cluster_half_made_is_made_anew() {
    let directory = open_directory();
    fs::create_dir(directory.path().join("data.draft")).expect("made");
    fs::write(directory.path().join("data.draft/PG_VERSION"), "15").expect("written");
    assert_eq!(sql(&start(directory.path()), "SELECT 1"), "1");
}

#[test]
fn a_path_too_long_for_a_socket_still_works() {
    let directory = open_directory();
    let deep = directory
        .path()
        .join("a-name-of-fifty-characters-to-make-the-path-too-long")
        .join("and-another-name-of-fifty-characters-and-some-more");
    let cluster = start(&deep);
    assert!(!cluster.socket_directory().starts_with(directory.path()));
    assert_eq!(sql(&cluster, "SELECT 1"), "1");
    let socket = cluster.socket_directory().to_owned();
    cluster.remove();
    assert!(!socket.exists());
}

#[test]
fn a_directory_the_server_may_not_enter_is_served_from_elsewhere() {
    let closed = tempfile::tempdir().expect("a directory");
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).expect("closed");
    let directory = closed.path().join("cluster");
    let cluster = start(&directory);
    remember(&cluster);
    let location: PathBuf = cluster.location().to_owned();
    let root = fs::metadata("/proc/self").expect("a process").uid() == 0;
    assert_eq!(root, !location.starts_with(closed.path()));
    cluster.stop();
    let again = start(&directory);
    assert_remembered(&again);
    again.remove();
    assert!(!location.exists());
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let directory = open_directory();
    let mut config = config(directory.path());
    config.settings.push(("max_connections".into(), "many".into()));
    let error = Cluster::start(config).expect_err("a bad setting");
    assert!(
        matches!(&error, ClusterError::Program { detail, .. } if detail.contains("max_connections"))
    );
    assert_eq!(sql(&start(directory.path()), "SELECT 1"), "1");
}

#[test]
fn a_terminal_interrupt_does_not_reach_the_server() {
    let directory = open_directory();
    let cluster = start(directory.path());
    let pid = cluster.pid().expect("it runs");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let group = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(2));
    assert_eq!(group, Some(pid.to_string().as_str()), "a process group of its own");
}

/// Only root can lower itself; for everybody else the positive tests above say it all.
#[test]
fn another_user_may_not_take_over_the_socket_directory() {
    if fs::metadata("/proc/self").expect("a process").uid() != 0 {
        return;
    }
    let directory = open_directory();
    fs::create_dir(directory.path().join("run")).expect("made");
    std::os::unix::fs::chown(directory.path().join("run"), Some(12_345), Some(12_345))
        .expect("given away");
    let error = Cluster::start(config(directory.path())).expect_err("not ours");
    assert!(matches!(error, ClusterError::NotOurs { owner: 12_345, .. }), "{error}");
    let denied = Command::new("true").uid(12_345).status();
    assert!(denied.is_ok(), "a process can be lowered here");
}
