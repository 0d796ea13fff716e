//! A bad line: cut at every depth, or silent. Whatever was lost, the same key brings it to its end.
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cairn_commands::ports::{FailureKind, NodePort, NodeTarget};
use cairn_compute::Step;
use cairn_ssh::{SshConfig, SshNodes};

use super::support::{Counter, RealClock, World, key, world};

/// Carries connections on to a node until it has heard so many bytes from it; then it cuts.
struct BadLine {
    address: SocketAddr,
    allowed: Arc<AtomicU64>,
    cuts: Arc<AtomicU64>,
}

impl BadLine {
    fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (allowed, cuts) = (Arc::new(AtomicU64::new(u64::MAX)), Arc::new(AtomicU64::new(0)));
        let (limit, counted) = (Arc::clone(&allowed), Arc::clone(&cuts));
        // Ends with the test process.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let node = TcpStream::connect(target).unwrap();
                let (limit, counted) = (limit.load(Ordering::SeqCst), Arc::clone(&counted));
                let (mut up, mut to_node) =
                    (client.try_clone().unwrap(), node.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ended = std::io::copy(&mut up, &mut to_node);
                    let _closed = to_node.shutdown(Shutdown::Both);
                });
                std::thread::spawn(move || carry_down(&node, &client, limit, &counted));
            }
        });
        Self { address, allowed, cuts }
    }

    fn target(&self, world: &World) -> NodeTarget {
        let address = self.address.ip().to_string();
        NodeTarget { address, port: self.address.port(), ..world.target.clone() }
    }
}

fn carry_down(mut node: &TcpStream, mut client: &TcpStream, limit: u64, cuts: &AtomicU64) {
    let (mut carried, mut buffer) = (0_u64, [0; 512]);
    while let Ok(length) = node.read(&mut buffer) {
        if length == 0 || client.write_all(&buffer[..length]).is_err() {
            break;
        }
        carried += length as u64;
        if carried >= limit {
            cuts.fetch_add(1, Ordering::SeqCst);
            break;
        }
    }
    for stream in [node, client] {
        let _closed = stream.shutdown(Shutdown::Both);
    }
}

#[test]
fn a_line_cut_at_any_depth_is_worth_another_try_and_does_nothing_twice() {
    let Some(world) = world("cut") else { return };
    let line = BadLine::to(SocketAddr::new(world.node.address(), world.node.port()));
    let (target, tenant) = (line.target(&world), world.tenant());
    let depths = [1, 600, 1_200, 1_700, 2_000, 2_200, 2_300, 2_400, 2_500, 2_600, 2_700, 2_800];
    for (generation, allowed) in (1..).zip(depths) {
        let key = key("uid", generation);
        line.allowed.store(allowed, Ordering::SeqCst);
        let cut = world.nodes.ensure(&target, &tenant, Step::Uid, &key);
        if let Err(failure) = world.runtime.block_on(cut) {
            assert_eq!(failure.kind, FailureKind::Transient, "{failure}");
            let noticed = !failure.message.contains("took longer");
            assert!(noticed, "the cut after {allowed} bytes was waited out: {failure}");
        }
        line.allowed.store(u64::MAX, Ordering::SeqCst);
        let again = world.nodes.ensure(&target, &tenant, Step::Uid, &key);
        world.runtime.block_on(again).unwrap();
        let claims = world.node.run(&["ls", "/var/lib/cairn-node/uids"]).unwrap();
        assert_eq!(claims, "20000\n");
    }
    let cuts = line.cuts.load(Ordering::SeqCst);
    assert!(cuts >= 6, "the line was cut only {cuts} times");
}

#[test]
fn a_node_that_says_nothing_is_not_waited_for_for_ever() {
    let Some(world) = world("silent") else { return };
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = silent.local_addr().unwrap();
    let patience = Duration::from_millis(300);
    let config = SshConfig {
        connect_timeout: patience,
        command_timeout: patience,
        settle_timeout: Duration::ZERO,
        ..SshConfig::default()
    };
    let (clock, ids) = (Arc::new(RealClock), Arc::new(Counter::new()));
    let nodes = SshNodes::new(Arc::clone(&world.authority), clock, ids, config);
    let target = NodeTarget {
        address: address.ip().to_string(),
        port: address.port(),
        ..world.target.clone()
    };
    let failure = world.runtime.block_on(nodes.probe(&target)).unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Transient, "node_unreachable"));
}
