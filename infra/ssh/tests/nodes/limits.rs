//! Limits that bite.
use super::support::world;

#[test]
fn a_fork_bomb_stops_at_the_limit_and_the_node_lives_on() {
    let Some(world) = world("forks") else { return };
    world.provision();
    let few = world.ssh("for i in 1 2 3 4 5; do sleep 20 & done; jobs -p | wc -l; kill $(jobs -p)");
    assert_eq!(few.stdout.trim(), "5", "{few:?}");
    let bomb = "sh -c 'for i in $(seq 200); do sleep 1000 >/dev/null 2>&1 & done'";
    let many = world.ssh(bomb);
    assert!(many.stderr.contains("Cannot fork"), "{many:?}");
    let alive = world.node.run(&["pgrep", "-c", "-u", "20000"]).unwrap();
    let alive: u32 = alive.trim().parse().unwrap();
    assert!(alive > 5 && alive <= 24, "{alive} processes under a limit of 24");
    assert!(world.node.run(&["true"]).is_ok());
    assert_eq!(world.teardown(2), Vec::<String>::new());
    world.nothing_is_left();
}

#[test]
fn a_session_cannot_take_more_memory_than_it_rents() {
    let Some(world) = world("memory") else { return };
    world.provision();
    let take = |mib: u32| world.ssh(&format!("head -c {mib}M /dev/zero | tail -c {mib}M | wc -c"));
    let modest = take(16);
    assert_eq!(modest.stdout.trim(), (16 << 20).to_string(), "{modest:?}");
    let greedy = take(512);
    assert_ne!(greedy.stdout.trim(), (512 << 20).to_string(), "{greedy:?}");
}
