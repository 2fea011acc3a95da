//! Calls an HTTP API with a token from the vault, as an application would: at a 401 it asks the vault once
//! for a newer token and tries again.
//!
//! `cargo run --example call_api -- SOCKET ORG PROVIDER NAME http://127.0.0.1:PORT/PATH`
//!
//! Prints the status of the API, never the token.

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, StatusCode, Uri, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;
use tokenkeep_client::ids::{ConnectionId, OrgId};
use tokenkeep_client::wire::Token;
use tokenkeep_client::{Client, Error};
use tokio::net::TcpStream;

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
    let [socket, org, provider, name, url] = arguments.as_slice() else { return Err(Failure::Usage) };
    let org: OrgId = org.parse().map_err(|_| Failure::Usage)?;
    let (Ok(provider), Ok(name)) = (provider.parse(), name.parse()) else { return Err(Failure::Usage) };
    let id = ConnectionId { provider, name };
    let url: Uri = url.parse().map_err(|_| Failure::Usage)?;
    // Plain HTTP shows the token to every hop, so it may go to this host alone.
    if url.scheme_str() != Some("http") || url.host() != Some("127.0.0.1") {
        return Err(Failure::Usage);
    }

    let vault = Client::unix(socket);
    let token = vault.org(&org).token(&id, Duration::from_secs(60)).await.map_err(Failure::Vault)?;
    match call(&url, &token).await? {
        StatusCode::UNAUTHORIZED => {
            let newer = vault.org(&org).newer_token(&id, token.generation).await.map_err(Failure::Vault)?;
            call(&url, &newer).await
        }
        status => Ok(status),
    }
}

async fn call(url: &Uri, token: &Token) -> Result<StatusCode, Failure> {
    // A bearer token goes to this host alone, so plain HTTP will do here.
    let (Some("http"), Some(authority)) = (url.scheme_str(), url.authority()) else {
        return Err(Failure::Usage);
    };
    if authority.host() != "127.0.0.1" {
        return Err(Failure::Usage);
    }
    let address = (authority.host(), authority.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(address).await.map_err(|error| Failure::Api(error.to_string()))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move { drop(connection.await) });

    let bearer = format!("{} {}", token.token_type, token.access_token.expose());
    let mut bearer = header::HeaderValue::from_str(&bearer).map_err(|_| Failure::Usage)?;
    bearer.set_sensitive(true);
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(header::HOST, authority.as_str())
        .header(header::AUTHORIZATION, bearer)
        .body(Empty::<Bytes>::new())
        .map_err(|_| Failure::Usage)?;
    Ok(sender.send_request(request).await?.status())
}

enum Failure {
    Api(String),
    Usage,
    Vault(Error),
}

impl From<hyper::Error> for Failure {
    fn from(error: hyper::Error) -> Self {
        Self::Api(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(error) => write!(f, "the API cannot be reached: {error}"),
            Self::Usage => f.write_str("usage: call_api SOCKET ORG PROVIDER NAME http://127.0.0.1:PORT/PATH"),
            Self::Vault(error) => error.fmt(f),
        }
    }
}
