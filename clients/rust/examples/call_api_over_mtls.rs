//! Calls an HTTP API with a token from a vault behind mTLS. The layer adds the token, and at a 401 asks the vault
//! for a newer one and sends the request once more: the application does not see tokens at all.
//!
//! `cargo run --example call_api_over_mtls --features mtls,tower -- HOST:PORT DIR ORG PROVIDER NAME http://127.0.0.1:PORT/PATH`
//!
//! `DIR` holds `client.crt`, `client.key` and `ca.crt`; replace them whenever you like. Prints the status of the
//! API, never the token.

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, StatusCode, Uri};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use tokenkeep_client::Client;
use tokenkeep_client::ids::{ConnectionId, OrgId};
use tokenkeep_client::mtls::{Credentials, Unusable};
use tokenkeep_client::tower::{BearerLayer, Failed, NotAnOrigin, Origin};
use tower_layer::Layer;
use tower_service::Service;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(status) if writeln!(io::stdout(), "{}", status.as_u16()).is_ok() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(failure) => {
            // Where stderr is gone as well, the exit code has to do.
            drop(writeln!(io::stderr(), "{failure}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<StatusCode, Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, directory, org, provider, name, url] = arguments.as_slice() else {
        return Err(Failure::Usage);
    };
    let org: OrgId = org.parse().map_err(|_| Failure::Usage)?;
    let (Ok(provider), Ok(name)) = (provider.parse(), name.parse()) else { return Err(Failure::Usage) };
    let id = ConnectionId { provider, name };
    let url: Uri = url.parse().map_err(|_| Failure::Usage)?;

    let file = |name| Path::new(directory).join(name);
    let credentials = Credentials::from_files(file("client.crt"), file("client.key"), file("ca.crt"))?;
    let vault = Client::mtls(address, credentials)?;

    let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
        return Err(Failure::Usage);
    };
    // The token goes there and nowhere else; plain HTTP only where it does not leave this host.
    let origin = Origin::parse(&format!("{scheme}://{authority}"))?;
    let http: legacy::Client<HttpConnector, Empty<Bytes>> =
        legacy::Client::builder(TokioExecutor::new()).build_http();
    let mut api = BearerLayer::new(&vault, org, id, origin).layer(http);

    let request = Request::get(url).body(Empty::new()).map_err(|_| Failure::Usage)?;
    poll_fn(|cx| api.poll_ready(cx)).await?;
    Ok(api.call(request).await?.status())
}

enum Failure {
    Call(Failed<legacy::Error>),
    Credentials(Unusable),
    Usage,
}

impl From<Failed<legacy::Error>> for Failure {
    fn from(failed: Failed<legacy::Error>) -> Self {
        Self::Call(failed)
    }
}

impl From<NotAnOrigin> for Failure {
    fn from(_: NotAnOrigin) -> Self {
        Self::Usage
    }
}

impl From<Unusable> for Failure {
    fn from(unusable: Unusable) -> Self {
        Self::Credentials(unusable)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(Failed::Service(error)) => write!(f, "the API cannot be reached: {error}"),
            Self::Call(failed) => failed.fmt(f),
            Self::Credentials(unusable) => unusable.fmt(f),
            Self::Usage => f.write_str(
                "usage: call_api_over_mtls HOST:PORT DIR ORG PROVIDER NAME http://127.0.0.1:PORT/PATH",
            ),
        }
    }
}
