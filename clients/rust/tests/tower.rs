//! The layer that adds `Authorization`: what it sends, how often it asks the vault, and what a 401 leads to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::http::{Request, Response, StatusCode};
use kit::{Answer, Asked, Daemon, problem};
use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokenkeep_client::tower::{BearerLayer, Failed, Origin};
use tokenkeep_client::{Client, Error};
use tower_layer::Layer;
use tower_service::Service;

const API: &str = "https://api.example.com/repos";

/// An API that takes these tokens, and remembers what it was asked.
#[derive(Debug, Clone, Default)]
struct Api {
    takes: &'static [&'static str],
    asked: Arc<Mutex<Vec<(String, bool)>>>,
    is_ready: bool,
}

impl Api {
    fn that_takes(takes: &'static [&'static str]) -> Self {
        Self { takes, ..Self::default() }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(header, _)| header.clone()).collect()
    }
}

impl<B> Service<Request<B>> for Api {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called without having been asked whether it is ready");
        let header = &request.headers()["authorization"];
        let text = header.to_str().unwrap().to_owned();
        let is_known = self.takes.iter().any(|token| text == format!("Bearer {token}"));
        self.asked.lock().unwrap().push((text, header.is_sensitive()));
        let status = if is_known { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        let mut response = Response::new(());
        *response.status_mut() = status;
        ready(Ok(response))
    }
}

fn token(text: &str, generation: u64, expires_at: &str) -> Answer {
    Answer::Json(
        200,
        format!(
            r#"{{"access_token":"{text}","token_type":"bot","expires_at":{expires_at},"scopes":[],"generation":{generation}}}"#
        ),
    )
}

/// A vault that has a first token, and a second one for whom the first was refused.
fn vault() -> Daemon {
    vault_with("null")
}

fn vault_with(expires_at: &'static str) -> Daemon {
    Daemon::start(move |asked: &Asked| match asked.line.starts_with("POST") {
        true => token("second", 8, expires_at),
        false => token("first", 7, expires_at),
    })
}

fn layer(daemon: &Daemon) -> BearerLayer {
    let origin = Origin::parse("https://api.example.com").unwrap();
    let vault = Client::unix(daemon.socket());
    BearerLayer::new(&vault, "acme".parse().unwrap(), "github/main".parse().unwrap(), origin)
}

fn request(body: &'static str) -> Request<Full<Bytes>> {
    Request::post(API).body(Full::new(Bytes::from(body))).unwrap()
}

async fn call<S, B>(service: &mut S, request: Request<B>) -> Result<StatusCode, S::Error>
where
    S: Service<Request<B>, Response = Response<()>>,
{
    poll_fn(|cx| service.poll_ready(cx)).await?;
    Ok(service.call(request).await?.status())
}

#[tokio::test]
async fn the_token_is_added_and_asked_for_once() {
    let daemon = vault();
    let api = Api::that_takes(&["first"]);
    let layer = layer(&daemon);
    let (mut one, mut other) = (layer.layer(api.clone()), layer.clone().layer(api.clone()));
    for _ in 0..3 {
        let asked = request("a");
        assert_eq!(call(&mut one, asked).await.unwrap(), StatusCode::OK);
        assert_eq!(call(&mut other, request("b")).await.unwrap(), StatusCode::OK);
    }
    assert_eq!(api.asked(), ["Bearer first"; 6], "whatever the vault calls its type");
    assert!(api.asked.lock().unwrap().iter().all(|(_, is_sensitive)| *is_sensitive));
    assert_eq!(daemon.asked().len(), 1);
    assert_eq!(daemon.asked()[0].line, "GET /v1/orgs/acme/connections/github/main/token?min_ttl=60");
    assert!(!format!("{layer:?}").contains("first"));
}

#[tokio::test]
async fn what_the_caller_wrote_there_is_replaced() {
    let daemon = vault();
    let api = Api::that_takes(&["first"]);
    let mut service = layer(&daemon).layer(api.clone());
    let mut request = request("a");
    request.headers_mut().insert("authorization", "Basic x".parse().unwrap());
    call(&mut service, request).await.unwrap();
    assert_eq!(api.asked(), ["Bearer first"]);
}

#[tokio::test]
async fn at_a_401_a_newer_token_is_asked_for_and_the_request_sent_again() {
    let daemon = vault();
    let api = Api::that_takes(&["second"]);
    let mut service = layer(&daemon).layer(api.clone());
    assert_eq!(call(&mut service, request("a")).await.unwrap(), StatusCode::OK);
    assert_eq!(api.asked(), ["Bearer first", "Bearer second"]);
    assert_eq!(daemon.asked()[1].body, r#"{"if_generation":7}"#);
    assert_eq!(call(&mut service, request("b")).await.unwrap(), StatusCode::OK);
    assert_eq!(api.asked().len(), 3, "the newer one is kept");
    assert_eq!(daemon.asked().len(), 2);
}

#[tokio::test]
async fn an_api_that_always_says_401_hears_from_a_caller_twice() {
    let daemon = vault();
    let api = Api::that_takes(&[]);
    let mut service = layer(&daemon).layer(api.clone());
    assert_eq!(call(&mut service, request("a")).await.unwrap(), StatusCode::UNAUTHORIZED);
    assert_eq!(api.asked(), ["Bearer first", "Bearer second"]);
    assert_eq!(daemon.asked().len(), 2);
}

#[tokio::test]
async fn callers_that_are_refused_at_once_share_the_newer_token() {
    let daemon = vault();
    let service = layer(&daemon).layer(Api::that_takes(&["second"]));
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let mut service = service.clone();
            tokio::spawn(async move { call(&mut service, request("a")).await.unwrap() })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), StatusCode::OK);
    }
    assert_eq!(daemon.asked().len(), 2, "one token, and one newer one");
}

#[tokio::test]
async fn without_a_newer_token_the_401_stands() {
    let daemon = Daemon::start(|_| token("first", 7, "null"));
    let api = Api::that_takes(&[]);
    let mut service = layer(&daemon).layer(api.clone());
    assert_eq!(call(&mut service, request("a")).await.unwrap(), StatusCode::UNAUTHORIZED);
    assert_eq!(api.asked(), ["Bearer first"]);
}

#[tokio::test]
async fn what_the_vault_says_against_it_is_told() {
    let daemon = Daemon::start(|asked| match asked.line.starts_with("POST") {
        true => problem("needs_reauth", 424, "connect again"),
        false => token("first", 7, "null"),
    });
    let api = Api::that_takes(&[]);
    let mut service = layer(&daemon).layer(api.clone());
    let failed = call(&mut service, request("a")).await.unwrap_err();
    assert!(matches!(failed, Failed::Vault(Error::Owner { .. })), "{failed}");
    let denied = Daemon::start(|_| problem("forbidden", 403, "not you"));
    let mut service = layer(&denied).layer(api.clone());
    let failed = call(&mut service, request("a")).await.unwrap_err();
    assert!(matches!(failed, Failed::Vault(Error::Caller(_))), "{failed}");
    assert_eq!(api.asked().len(), 1, "without a token nothing is sent");
}

#[tokio::test]
async fn a_token_goes_to_its_origin_alone() {
    let daemon = vault();
    let api = Api::that_takes(&["first"]);
    let mut service = layer(&daemon).layer(api.clone());
    for elsewhere in ["https://evil.test/repos", "http://api.example.com/repos", "/repos"] {
        let request = Request::get(elsewhere).body(Full::<Bytes>::default()).unwrap();
        assert_eq!(call(&mut service, request).await.unwrap_err(), Failed::Elsewhere, "{elsewhere}");
    }
    assert!(api.asked().is_empty() && daemon.asked().is_empty());
}

#[tokio::test]
async fn a_token_is_kept_until_min_ttl_before_its_end() {
    let api = Api::that_takes(&["first"]);
    // What has ended, for all that is known here, is not kept; what ends in 2099 is, unless more is asked.
    for (expires_at, min_ttl, asked) in [
        ("\"2020-01-01T00:00:00Z\"", 60, 3),
        ("\"2099-01-01T00:00:00Z\"", 60, 1),
        ("\"2099-01-01T00:00:00Z\"", u32::MAX, 3),
    ] {
        let daemon = vault_with(expires_at);
        let layer = layer(&daemon).with_min_ttl(Duration::from_secs(min_ttl.into()));
        let mut service = layer.layer(api.clone());
        for _ in 0..3 {
            call(&mut service, request("a")).await.unwrap();
        }
        assert_eq!(daemon.asked().len(), asked, "{expires_at} {min_ttl}");
        assert!(daemon.asked()[0].line.ends_with(&format!("min_ttl={min_ttl}")));
    }
}

/// A body that cannot be cloned.
struct Stream(&'static str);

#[tokio::test]
async fn a_body_that_cannot_be_had_again_is_sent_once() {
    let daemon = vault();
    let api = Api::that_takes(&["second"]);
    let mut service = layer(&daemon).once().layer(api.clone());
    let post = || Request::post(API).body(Stream("a")).unwrap();
    assert_eq!(call(&mut service, post()).await.unwrap(), StatusCode::UNAUTHORIZED);
    assert_eq!(call(&mut service, post()).await.unwrap(), StatusCode::OK);
    assert_eq!(api.asked(), ["Bearer first", "Bearer second"]);
}

#[tokio::test]
async fn a_body_may_be_made_anew() {
    let daemon = vault();
    let api = Api::that_takes(&["second"]);
    let again = |body: &Stream| (body.0 != "endless").then_some(Stream(body.0));
    let mut service = layer(&daemon).with_body(again).layer(api.clone());
    let post = |body| Request::post(API).body(Stream(body)).unwrap();
    assert_eq!(call(&mut service, post("endless")).await.unwrap(), StatusCode::UNAUTHORIZED);
    let other = vault();
    let mut service = layer(&other).with_body(again).layer(api.clone());
    assert_eq!(call(&mut service, post("a")).await.unwrap(), StatusCode::OK);
    assert_eq!(api.asked(), ["Bearer first", "Bearer first", "Bearer second"]);
}
