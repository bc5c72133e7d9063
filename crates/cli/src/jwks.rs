//! Keeps the keys of tokens fresh: fetches the issuer's key set, and again when it is old or lacks a key.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ferromcp_core::Tokens;
use ferromcp_tenancy::{JwkSet, JwksRefresh, MAX_JWKS_BYTES, RefreshSettings};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tracing::{info, warn};
use url::Url;

use crate::https;

/// How long one fetch may take.
const TIMEOUT: Duration = Duration::from_secs(10);

type Http = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// Fetches key sets from one address.
pub(crate) struct Keys {
    tokens: Arc<Tokens>,
    url: Url,
    client: Http,
    refresh: JwksRefresh,
}

impl Keys {
    /// Nothing is fetched yet.
    pub(crate) fn new(tokens: Arc<Tokens>, url: Url, max_age: Duration) -> std::io::Result<Self> {
        Ok(Self {
            client: client(&url)?,
            tokens,
            url,
            refresh: JwksRefresh::new(RefreshSettings {
                max_age,
                ..RefreshSettings::default()
            }),
        })
    }

    /// Fetches now, if it is time to.
    pub(crate) async fn fetch(&mut self) {
        if !self.refresh.poll(now()) {
            return;
        }
        let document = tokio::time::timeout(TIMEOUT, document(&self.client, &self.url)).await;
        let fetched = match document.unwrap_or_else(|_| Err(format!("no answer within {TIMEOUT:?}"))) {
            Ok(document) => self
                .refresh
                .on_document(&document, now())
                .map_err(|e| e.to_string()),
            Err(reason) => {
                self.refresh.on_failure(&reason);
                Err(reason)
            }
        };
        match fetched {
            Ok(keys) => {
                for skipped in keys.skipped() {
                    info!(reason = skipped, "a key of auth.jwt.jwks is not used");
                }
                let count = keys.len();
                if let Some(verifier) = self.tokens.verifier().with_keys(keys) {
                    self.tokens.replace(verifier);
                    info!(keys = count, "the keys of tokens have changed");
                }
            }
            Err(reason) => warn!(
                reason,
                "the keys of tokens (auth.jwt.jwks) cannot be fetched; those at hand stay good"
            ),
        }
    }

    /// Fetches again whenever it is time to, for ever.
    pub(crate) async fn keep(mut self) {
        loop {
            let wait = Duration::from_secs(self.refresh.due(now()).saturating_sub(now()).max(1));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.tokens.unknown_key() => self.refresh.on_unknown_key(),
            }
            self.fetch().await;
        }
    }
}

fn client(url: &Url) -> std::io::Result<Http> {
    let connector = https::trusting_the_system(Some(url.scheme()), TIMEOUT)?;
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

async fn document(client: &Http, url: &Url) -> Result<Bytes, String> {
    let request = Request::builder()
        .uri(url.as_str())
        .header(header::ACCEPT, "application/jwk-set+json, application/json")
        .body(Empty::new())
        .map_err(|e| e.to_string())?;
    let response = client.request(request).await.map_err(|e| https::innermost(&e))?;
    if response.status() != StatusCode::OK {
        return Err(format!("the answer is {}", response.status()));
    }
    let body = Limited::new(response.into_body(), MAX_JWKS_BYTES + 1)
        .collect()
        .await;
    Ok(body.map_err(|e| e.to_string())?.to_bytes())
}

/// How many keys there are at an address now.
///
/// # Errors
/// They cannot be fetched, or are no key set.
pub(crate) async fn count(url: &Url) -> Result<usize, String> {
    let client = client(url).map_err(|e| format!("cannot read the system's certificates: {e}"))?;
    let fetched = tokio::time::timeout(TIMEOUT, document(&client, url)).await;
    let bytes = fetched.unwrap_or_else(|_| Err(format!("no answer within {TIMEOUT:?}")))?;
    JwkSet::parse(&bytes)
        .map(|keys| keys.len())
        .map_err(|e| e.to_string())
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
