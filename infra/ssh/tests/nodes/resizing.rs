//! A tenant of another size.
use cairn_commands::ports::{FailureKind, NodePort, Tenant};
use cairn_compute::Step;
use cairn_core::Resources;

use super::support::{ALLOCATION, World, key, world};

/// Mebibytes.
fn with_disk(world: &World, mib: u64) -> Tenant {
    let tenant = world.tenant();
    let resources = Resources { disk_bytes: mib << 20, pids_max: 12, ..tenant.resources };
    Tenant { resources, ..tenant }
}

fn suspend(world: &World, generation: u64) {
    let (tenant, key) = (world.tenant(), key("suspend", generation));
    let call = world.nodes.suspend(&world.target, &tenant, &key);
    world.runtime.block_on(call).unwrap();
}

/// What the tenant finds: the size of its home in mebibytes, and what it left there.
fn finds(world: &World) -> (u64, String) {
    let said = world.ssh("stat -f -c %b-%S . && cat note");
    let (size, note) = said.stdout.split_once('\n').unwrap();
    let (blocks, bytes) = size.split_once('-').unwrap();
    let size: u64 = blocks.parse::<u64>().unwrap() * bytes.parse::<u64>().unwrap();
    (size >> 20, note.trim().to_owned())
}

#[test]
fn a_home_grows_with_all_that_is_in_it_and_never_shrinks() {
    let Some(world) = world("resized") else { return };
    world.provision();
    let fills = "head -c 8M /dev/urandom > ballast; echo hello > note; sync";
    assert!(world.ssh(fills).success);
    let small = finds(&world);

    suspend(&world, 2);
    let larger = with_disk(&world, 64);
    for step in [Step::Home, Step::Limits, Step::Access, Step::Prove] {
        world.ensure_as(&larger, step, 3).unwrap();
    }
    let large = finds(&world);
    assert!(large.0 > small.0 + 20, "{small:?}, then {large:?}");
    assert_eq!(large.1, "hello");
    let limits = world.ensure_as(&larger, Step::Limits, 3).unwrap();
    assert!(limits.contains("12 processes"), "{limits}");

    suspend(&world, 4);
    let refused = world.ensure_as(&with_disk(&world, 48), Step::Home, 5).unwrap_err();
    assert_eq!(
        (refused.kind, refused.code.as_str()),
        (FailureKind::Permanent, "home_cannot_shrink")
    );
    for step in [Step::Home, Step::Limits, Step::Access, Step::Prove] {
        world.ensure_as(&larger, step, 6).unwrap();
    }
    assert_eq!(finds(&world), large, "as it was");

    // A machine that ended while it grew a home: the file is long already, and what is in it is not.
    suspend(&world, 7);
    let image = format!("/var/lib/cairn-node/homes/{ALLOCATION}");
    for argv in [
        &["umount", "/home/t20000"][..],
        &["mv", &format!("{image}.img"), &format!("{image}.growing")],
        &["truncate", "-s", "96M", &format!("{image}.growing")],
    ] {
        world.node.run(argv).unwrap();
    }
    let largest = with_disk(&world, 96);
    for step in [Step::Home, Step::Limits, Step::Access, Step::Prove] {
        world.ensure_as(&largest, step, 8).unwrap();
    }
    let grown = finds(&world);
    assert!(grown.0 > large.0 + 20, "{large:?}, then {grown:?}");
    assert_eq!(grown.1, "hello");
    assert_eq!(world.teardown(9), Vec::<String>::new());
    world.nothing_is_left();
}
