//! A [tower](https://docs.rs/tower) layer that adds `Authorization: Bearer` with the token of one connection, and
//! on a 401 asks the vault for a newer token and tries once more.
//!
//! ```no_run
//! # use tokenkeep_client::{Client, ids::{ConnectionId, OrgId}};
//! # use tower_layer::Layer;
//! # fn three_lines<S>(https: S, org: OrgId, id: ConnectionId) -> Result<(), tokenkeep_client::tower::NotAnOrigin> {
//! use tokenkeep_client::tower::{BearerLayer, Origin};
//! let vault = Client::unix("/run/tokenkeep/tokenkeep.sock");
//! let github = BearerLayer::new(&vault, org, id, Origin::parse("https://api.github.com")?).layer(https);
//! # Ok(()) }
//! ```
//!
//! It goes around any service that takes an [`http::Request`](hyper::http::Request), hyper's client and reqwest's
//! among them. The token is kept, in memory that is wiped, until `min_ttl` before its end: only the first request
//! asks the vault, and the audit log has one entry for the hand-over, not one for each use.
//!
//! The hard parts: a token must not go where a redirect, or a mistake, leads; so the layer belongs to one
//! [`Origin`], and requests elsewhere are refused. And a request is sent a second time only if its body can be had
//! again, and then only once: an API that always answers 401 hears from each caller twice.
//!
//! Never loops; never shows a token to anybody but the origin.

mod origin;
mod tokens;

pub use origin::{NotAnOrigin, Origin};

use crate::client::Client;
use crate::error::Error;
use crate::ids::{ConnectionId, OrgId};
use hyper::http::{Request, Response, StatusCode, header};
use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokens::Tokens;
use tower_layer::Layer;
use tower_service::Service;

/// How long a token must live at least when it is sent.
const MIN_TTL: Duration = Duration::from_secs(60);

/// Wraps services so that each request carries the token of one connection. All services of one layer, and of its
/// clones, share the token.
#[derive(Debug, Clone)]
pub struct BearerLayer<A = Cloned> {
    tokens: Arc<Tokens>,
    origin: Origin,
    again: A,
}

/// How a body is had a second time.
pub trait Again<B> {
    /// The same body once more; none where it cannot be had, and the 401 stands.
    fn again(&self, body: &B) -> Option<B>;
}

/// Bodies that can be cloned: [`Full`](http_body_util::Full), [`Empty`](http_body_util::Empty), a string.
#[derive(Debug, Clone, Copy)]
pub struct Cloned;

/// Bodies that a function makes anew.
#[derive(Clone, Copy)]
pub struct Made<F>(F);

/// Bodies that can be had once.
#[derive(Debug, Clone, Copy)]
pub struct Once;

impl BearerLayer {
    /// For the token of this connection, and the API at this origin. Bodies are cloned to be sent again.
    #[must_use]
    pub fn new(vault: &Client, org: OrgId, id: ConnectionId, origin: Origin) -> Self {
        let tokens = Arc::new(Tokens::new(vault.clone(), org, id, MIN_TTL));
        Self { tokens, origin, again: Cloned }
    }
}

impl<A> BearerLayer<A> {
    /// Sets how long a token must live at least when it is sent; a minute where it is not set. Before the layer is
    /// cloned: from here on it has a token of its own.
    #[must_use]
    pub fn with_min_ttl(self, min_ttl: Duration) -> Self {
        Self { tokens: Arc::new(self.tokens.with_min_ttl(min_ttl)), ..self }
    }

    /// Has this function make bodies anew: for those that cannot be cloned, or only some of them.
    #[must_use]
    pub fn with_body<F>(self, again: F) -> BearerLayer<Made<F>> {
        BearerLayer { tokens: self.tokens, origin: self.origin, again: Made(again) }
    }

    /// Sends every body once: at a 401 a newer token is asked for, and used from the next request on.
    #[must_use]
    pub fn once(self) -> BearerLayer<Once> {
        BearerLayer { tokens: self.tokens, origin: self.origin, again: Once }
    }
}

impl<S, A: Clone> Layer<S> for BearerLayer<A> {
    type Service = Bearer<S, A>;

    fn layer(&self, inner: S) -> Bearer<S, A> {
        Bearer { inner, layer: self.clone() }
    }
}

impl<B: Clone> Again<B> for Cloned {
    fn again(&self, body: &B) -> Option<B> {
        Some(body.clone())
    }
}

impl<B, F: Fn(&B) -> Option<B>> Again<B> for Made<F> {
    fn again(&self, body: &B) -> Option<B> {
        (self.0)(body)
    }
}

impl<B> Again<B> for Once {
    fn again(&self, _: &B) -> Option<B> {
        None
    }
}

impl<F> fmt::Debug for Made<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Made(..)")
    }
}

/// A service whose requests carry a token.
#[derive(Debug, Clone)]
pub struct Bearer<S, A = Cloned> {
    inner: S,
    layer: BearerLayer<A>,
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed<E> {
    /// The request is for another origin than the token is for. Nothing was sent.
    Elsewhere,
    /// The service below failed.
    Service(E),
    /// The vault gave no token: before the request was sent, or after a 401.
    Vault(Error),
}

impl<E: fmt::Display> fmt::Display for Failed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elsewhere => f.write_str("the request is for another origin than the token is for"),
            Self::Service(error) => error.fmt(f),
            Self::Vault(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for Failed<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Elsewhere => None,
            // What stands above is their own words.
            Self::Service(error) => error.source(),
            Self::Vault(error) => error.source(),
        }
    }
}

impl<S, A, B, R> Service<Request<B>> for Bearer<S, A>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    A: Again<B> + Clone + Send + 'static,
    B: Send + 'static,
    R: Send + 'static,
{
    type Response = Response<R>;
    type Error = Failed<S::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, Failed<S::Error>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Failed::Service)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that was made ready answers; its clone waits for the next call.
        let next = self.inner.clone();
        let ready = mem::replace(&mut self.inner, next);
        let layer = self.layer.clone();
        Box::pin(layer.exchange(ready, request))
    }
}

impl<A> BearerLayer<A> {
    async fn exchange<S, B, R>(
        self,
        mut service: S,
        mut first: Request<B>,
    ) -> Result<Response<R>, Failed<S::Error>>
    where
        S: Service<Request<B>, Response = Response<R>>,
        A: Again<B>,
    {
        if !self.origin.is_of(first.uri()) {
            return Err(Failed::Elsewhere);
        }
        let token = self.tokens.current().await.map_err(Failed::Vault)?;
        let second = self.again.again(first.body());
        first.headers_mut().insert(header::AUTHORIZATION, token.header);
        let (head, body) = first.into_parts();
        let head_again = second.is_some().then(|| head.clone());
        let answer = service.call(Request::from_parts(head, body)).await.map_err(Failed::Service)?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let newer = self.tokens.newer_than(token.generation).await.map_err(Failed::Vault)?;
        let (Some(newer), Some(head), Some(body)) = (newer, head_again, second) else { return Ok(answer) };
        drop(answer);
        let mut second = Request::from_parts(head, body);
        second.headers_mut().insert(header::AUTHORIZATION, newer.header);
        poll_fn(|cx| service.poll_ready(cx)).await.map_err(Failed::Service)?;
        service.call(second).await.map_err(Failed::Service)
    }
}
