//! A door from a node to one address of this machine: whatever connects to it is carried on to the target.
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::error::{TestbedError, io as failed};

/// An open door; closed when dropped.
pub struct Relay {
    address: SocketAddr,
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    pub(crate) fn open(at: Ipv4Addr, target: SocketAddr) -> Result<Self, TestbedError> {
        let listener = TcpListener::bind((at, 0)).map_err(failed(format!("listening on {at}")))?;
        let address = listener.local_addr().map_err(failed("asking for the address"))?;
        let closed = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&closed);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if seen.load(Ordering::SeqCst) {
                    break;
                }
                if let Ok(stream) = stream {
                    std::thread::spawn(move || carry(&stream, target));
                }
            }
        });
        Ok(Self { address, closed, thread: Some(thread) })
    }

    /// Where it listens, as the node sees it.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // Wakes the listener, so that it sees that it is closed.
        let _woken = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

fn carry(from: &TcpStream, target: SocketAddr) {
    let Ok(to) = TcpStream::connect(target) else {
        return;
    };
    std::thread::scope(|scope| {
        scope.spawn(|| pump(from, &to));
        pump(&to, from);
    });
}

fn pump(mut from: &TcpStream, mut to: &TcpStream) {
    let _ended = io::copy(&mut from, &mut to);
    let _closed = to.shutdown(Shutdown::Write);
}
