//! Listens on every address, and drains when told to stop.
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const DRAIN: Duration = Duration::from_secs(10);

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

/// Serves until the token is cancelled, then lets what has begun finish, for at most ten seconds.
///
/// # Errors
/// When a listener fails.
pub async fn serve(
    listeners: Vec<TcpListener>,
    service: Router,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let mut servers = JoinSet::new();
    for listener in listeners {
        let app = service.clone().into_make_service_with_connect_info::<SocketAddr>();
        let stopped = stop.clone().cancelled_owned();
        servers
            .spawn(async move { axum::serve(listener, app).with_graceful_shutdown(stopped).await });
    }
    let all = async {
        while let Some(ended) = servers.join_next().await {
            ended.map_err(std::io::Error::other)??;
        }
        Ok(())
    };
    let deadline = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        ended = all => ended,
        () = deadline => {
            tracing::warn!("connections that would not end were cut");
            Ok(())
        }
    }
}
