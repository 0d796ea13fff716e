//! How a provider is called.
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use openidconnect::http::{Response, Uri};
use openidconnect::url::Url;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::redirect::Policy;
use reqwest::{Client, Request};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many bytes it may have.
const ANSWER_MAX: usize = 1 << 20;

/// Why a provider was not heard.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("{0} is called over https only")]
    Plain(String),
    #[error("the answer is too large")]
    TooLarge,
    #[error("{0}")]
    Broken(#[from] reqwest::Error),
    #[error("{0}")]
    Malformed(#[from] openidconnect::http::Error),
}

/// Calls providers.
#[derive(Debug, Clone)]
pub(crate) struct Http(Client);

impl Http {
    pub(crate) fn try_new() -> Result<Self, HttpError> {
        let client = Client::builder().timeout(PATIENCE).redirect(Policy::none());
        Ok(Self(client.build()?))
    }

    async fn send(self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        plain(request.uri())?;
        let mut answer = self.0.execute(Request::try_from(request)?).await?;
        let mut response = Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            response = response.header(name, value);
        }
        let mut body = vec![];
        while let Some(piece) = answer.chunk().await? {
            body.extend_from_slice(&piece);
            if body.len() > ANSWER_MAX {
                return Err(HttpError::TooLarge);
            }
        }
        Ok(response.body(body)?)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}

/// Refuses an address that codes and secrets cannot be sent to.
pub(crate) fn admissible(url: &Url) -> Result<(), HttpError> {
    let refused = || HttpError::Plain(url.to_string());
    match url.scheme() {
        "https" => Ok(()),
        "http" if url.host_str().is_some_and(is_here) => Ok(()),
        _ => Err(refused()),
    }
}

fn plain(uri: &Uri) -> Result<(), HttpError> {
    let refused = || HttpError::Plain(uri.to_string());
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if uri.host().is_some_and(is_here) => Ok(()),
        _ => Err(refused()),
    }
}

/// Whether a host is this machine.
fn is_here(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::admissible;

    #[test]
    fn secrets_go_over_tls_or_stay_on_this_machine() {
        for address in [
            "https://accounts.example",
            "http://127.0.0.1:4000",
            "http://[::1]/",
            "http://localhost",
        ] {
            assert!(admissible(&address.parse().unwrap()).is_ok(), "{address}");
        }
        for address in ["http://accounts.example", "http://127.0.0.1.example", "ftp://localhost"] {
            assert!(admissible(&address.parse().unwrap()).is_err(), "{address}");
        }
    }
}
