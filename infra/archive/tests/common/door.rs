//! The door before a server: while it is shut, whoever asks something is counted and let go without a word.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub struct Door {
    pub port: u16,
    shut: watch::Sender<bool>,
    asked: Arc<AtomicUsize>,
    _watch: JoinSet<()>,
}

impl Door {
    /// Open, before a server on a port of this machine.
    pub async fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (shut, state) = watch::channel(false);
        let asked: Arc<AtomicUsize> = Arc::default();
        let (mut watch, counted) = (JoinSet::new(), Arc::clone(&asked));
        watch.spawn(async move {
            let mut guests = JoinSet::new();
            loop {
                let (guest, _) = listener.accept().await.unwrap();
                guests.spawn(let_in(guest, server, state.clone(), Arc::clone(&counted)));
            }
        });
        Self { port, shut, asked, _watch: watch }
    }

    /// Whoever is inside is put out.
    pub fn shut(&self, shut: bool) {
        self.shut.send_replace(shut);
    }

    /// How often somebody asked while it was shut.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn let_in(
    mut guest: TcpStream,
    server: u16,
    mut state: watch::Receiver<bool>,
    counted: Arc<AtomicUsize>,
) {
    if *state.borrow() {
        if guest.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        return;
    }
    let mut host = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut guest, &mut host) => {}
        _ = state.wait_for(|shut| *shut) => {}
    }
}
