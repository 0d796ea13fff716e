//! Listens on every address, and drains when told to stop.
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use cairn_tasks::named;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::limits::Limits;

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds every address.
///
/// # Errors
/// Names the address that cannot be had.
pub async fn bind(addresses: &[SocketAddr]) -> std::io::Result<Vec<TcpListener>> {
    let mut listeners = vec![];
    for address in addresses {
        let listener = TcpListener::bind(address).await;
        listeners.push(listener.map_err(|error| {
            std::io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
        })?);
    }
    Ok(listeners)
}

/// Serves until the token is cancelled, then lets what has begun finish, within the limits.
pub async fn serve(
    listeners: Vec<TcpListener>,
    service: Router,
    (limits, stop): (Limits, CancellationToken),
) {
    let mut doors = JoinSet::new();
    for listener in listeners {
        let work = door(listener, service.clone(), (limits, stop.clone()));
        doors.spawn(named("listener", work));
    }
    while let Some(ended) = doors.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a listener ended badly");
        }
    }
}

/// One listener and its connections.
async fn door(listener: TcpListener, service: Router, (limits, stop): (Limits, CancellationToken)) {
    let (mut connections, graceful) = (JoinSet::new(), GracefulShutdown::new());
    let mut http = auto::Builder::new(TokioExecutor::new()).http1_only();
    http.http1().timer(TokioTimer::new()).header_read_timeout(limits.head);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files, or a client that left at once: neither ends the server.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let app = TowerToHyperService::new(service.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            app.call(request)
        });
        // A WebSocket begins as a request, and then has the connection to itself.
        let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let watched = graceful.watch(connection.into_owned());
        connections.spawn(named("connection", async move {
            if let Err(error) = watched.await {
                tracing::debug!(%error, %peer, "a connection broke");
            }
        }));
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(left = connections.len(), "connections that would not end are cut");
    }
}
