//! The steps of one exchange over a connection that is made: TLS, request, answer.
//!
//! Never goes on past a deadline or a cap.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{ETAG, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use zeroize::Zeroizing;

use super::error::TO_ANSWER;
use super::{Answer, Endpoint, OutboundError, Request};
use crate::net::wiped_io::{WipedIo, wiped};
use crate::os::fault_points;

/// For the header of an answer: hyper's own is a hundred headers in 400 KiB.
const LONGEST_HEADER: usize = 64 * 1024;

pub(super) async fn over(
    stream: std::net::TcpStream,
    endpoint: &Endpoint,
    tls: Option<Arc<ClientConfig>>,
    request: Request,
    most: usize,
    (connected, ends): (Instant, Instant),
) -> Result<Answer, OutboundError> {
    let host = |why: io::Error| OutboundError::Host(why.kind().to_string());
    stream.set_nonblocking(true).map_err(host)?;
    let stream = TcpStream::from_std(stream).map_err(host)?;
    let Some(tls) = tls else {
        return by(ends, TO_ANSWER, ask(stream, endpoint, request, most)).await?;
    };
    let stream = by(connected, "to shake hands", shake_hands(stream, endpoint, tls)).await??;
    by(ends, TO_ANSWER, ask(stream, endpoint, request, most)).await?
}

async fn by<T>(ends: Instant, step: &'static str, what: impl Future<Output = T>) -> Result<T, OutboundError> {
    timeout_at(ends, what).await.map_err(|_| OutboundError::Deadline(step))
}

async fn shake_hands(
    stream: TcpStream,
    endpoint: &Endpoint,
    tls: Arc<ClientConfig>,
) -> Result<TlsStream<WipedIo<TcpStream>>, OutboundError> {
    let name = ServerName::try_from(endpoint.host().to_owned());
    let name = name.map_err(|_| OutboundError::Untrusted("its name cannot stand in a certificate"))?;
    TlsConnector::from(tls).connect(name, wiped(stream)).await.map_err(|why| of_handshake(&why))
}

fn of_handshake(why: &io::Error) -> OutboundError {
    let inner = why.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(why)) => of_certificate(why),
        Some(rustls::Error::AlertReceived(alert)) => OutboundError::Tls(format!("alert {alert:?}")),
        Some(rustls::Error::InvalidMessage(_)) => OutboundError::Tls("it does not speak TLS".into()),
        Some(_) => OutboundError::Tls("no common protocol, or a broken one".into()),
        None => OutboundError::Tls(why.kind().to_string()),
    }
}

fn of_certificate(why: &CertificateError) -> OutboundError {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            OutboundError::Untimely("its certificate has expired, or the clock of this host is wrong")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            OutboundError::Untimely("its certificate is not valid yet, or the clock of this host is wrong")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            OutboundError::Untrusted("its certificate is for another name")
        }
        CertificateError::BadSignature | CertificateError::UnknownIssuer => {
            OutboundError::Untrusted("no authority that is trusted here signed its certificate")
        }
        _ => OutboundError::Untrusted("its certificate is not in order"),
    }
}

async fn ask<S>(
    stream: S,
    endpoint: &Endpoint,
    request: Request,
    most: usize,
) -> Result<Answer, OutboundError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let request = written(endpoint, request)?;
    fault_points::reach("request/due");
    let mut protocol = hyper::client::conn::http1::Builder::new();
    protocol.max_buf_size(LONGEST_HEADER);
    let (mut sender, connection) =
        protocol.handshake(TokioIo::new(wiped(stream))).await.map_err(|_| OutboundError::NotHttp)?;
    let driven = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|_| OutboundError::NotHttp)?;
    fault_points::reach("answer/begun");
    let status = answer.status().as_u16();
    let (retry_after, etag) = (retry_after(answer.headers()), etag(answer.headers()));
    let body = whole(answer.into_body(), most).await;
    fault_points::reach("answer/whole");
    driven.abort();
    Ok(Answer { status, retry_after, etag, body: body? })
}

fn etag(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(ETAG)?.to_str().ok()?.to_owned())
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn written(endpoint: &Endpoint, request: Request) -> Result<hyper::Request<Full<Bytes>>, OutboundError> {
    let unfit = |_| OutboundError::Host("the request cannot be written as HTTP".into());
    let Request { method, path, headers, body, identity: _ } = request;
    let body = Full::new(Bytes::from_owner(Wiped(body)));
    let mut written = hyper::Request::builder()
        .method(method)
        .uri(format!("{}{path}", endpoint.base()))
        .header(HOST, endpoint.authority())
        .body(body)
        .map_err(unfit)?;
    for (name, value) in headers {
        let mut value = HeaderValue::from_str(&value).map_err(|why| unfit(why.into()))?;
        value.set_sensitive(true);
        written.headers_mut().append(HeaderName::from_static(name), value);
    }
    Ok(written)
}

struct Wiped(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// The buffer has its size from the start: one that grows leaves copies behind.
async fn whole(mut body: Incoming, most: usize) -> Result<Zeroizing<Vec<u8>>, OutboundError> {
    let told = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let room = told.unwrap_or(most);
    if room > most {
        return Err(OutboundError::TooLarge(most));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| OutboundError::NotHttp)?;
        if let Some(part) = frame.data_ref() {
            if bytes.len() + part.len() > room {
                return Err(OutboundError::TooLarge(most));
            }
            bytes.extend_from_slice(part);
        }
    }
    Ok(bytes)
}
