//! Listens, serves and hangs up.
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::book::Book;
use crate::faults::Faults;
use crate::prompt::Prompt;
use crate::service::Service;

/// A running simulator. Its events outlive [`Simulator::stop`] in what [`Simulator::start_again`] makes of it.
#[derive(Debug)]
pub struct Simulator {
    /// Where it listens.
    pub address: SocketAddr,
    /// What goes wrong.
    pub faults: Arc<Faults>,
    book: Arc<Book>,
    all: CancellationToken,
    connections: Arc<Mutex<CancellationToken>>,
    tasks: TaskTracker,
}

impl Simulator {
    /// Starts an empty one.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub async fn start(address: SocketAddr) -> io::Result<Self> {
        Self::serve(address, Arc::default(), Arc::default()).await
    }

    /// The same one once more, at the same address, with all that was written.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub async fn start_again(self) -> io::Result<Self> {
        self.stop().await;
        Self::serve(self.address, self.book, self.faults).await
    }

    async fn serve(address: SocketAddr, book: Arc<Book>, faults: Arc<Faults>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let simulator = Self {
            address: listener.local_addr()?,
            faults,
            book,
            all: CancellationToken::new(),
            connections: Arc::default(),
            tasks: TaskTracker::new(),
        };
        *simulator.lock() = simulator.all.child_token();
        let service = Service {
            book: Arc::clone(&simulator.book),
            faults: Arc::clone(&simulator.faults),
            port: simulator.address.port(),
            connection: simulator.all.clone(),
        };
        let (tasks, connections) = (simulator.tasks.clone(), Arc::clone(&simulator.connections));
        let accepting = accept(listener, service, connections, tasks);
        let all = simulator.all.clone();
        simulator.tasks.spawn(async move {
            tokio::select! {
                () = all.cancelled() => {}
                () = accepting => {}
            }
        });
        Ok(simulator)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, CancellationToken> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a client finds it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("esdb://{}?tls=false&discoveryInterval=50", self.address)
    }

    /// Ends every connection that there is. New ones are welcome.
    pub fn hang_up(&self) {
        let next = self.all.child_token();
        std::mem::replace(&mut *self.lock(), next).cancel();
    }

    /// Ends every connection and listens no more.
    pub async fn stop(&self) {
        self.all.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn accept(
    listener: TcpListener,
    service: Service,
    connections: Arc<Mutex<CancellationToken>>,
    tasks: TaskTracker,
) {
    // An accept that fails concerns one connection only.
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let connection = connections.lock().unwrap_or_else(PoisonError::into_inner).child_token();
        tasks.spawn(converse(stream, Service { connection, ..service.clone() }));
    }
}

async fn converse(stream: TcpStream, service: Service) {
    let ended = service.connection.clone();
    let _ = stream.set_nodelay(true);
    let calls = service_fn(move |request| service.clone().call(request));
    let serving = http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(Prompt(stream)), calls);
    tokio::select! {
        () = ended.cancelled() => {}
        // Whatever ended it, the client knows.
        _ = serving => {}
    }
}
