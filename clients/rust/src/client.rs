//! The client: one a process, cheap to clone.
//!
//! The hard part is a daemon that restarts under a running application. A request that provably never left
//! this process is sent again, whatever it is: on a fresh connection where a kept one turns out dead, and,
//! with a short pause, while nobody takes connections at the socket. A request that may have been read is
//! sent again only where that does no harm.
//!
//! Never waits past the deadline; never carries out a write twice.

use crate::error::{Error, Transport};
use crate::ids::OrgId;
use crate::org::Org;
use crate::pool::{Broken, Line, Pool};
use crate::request::{Condition, Request};
use crate::response::{Response, Unread};
use crate::wire::Status;
use http_body_util::Full;
use hyper::header;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Room for a refresh at a provider that takes its time; short enough for a request that waits on it.
const DEADLINE: Duration = Duration::from_secs(10);

/// How often a read whose answer is lost is sent at most: one that brings the daemon down must not go on.
const ATTEMPTS: u32 = 3;

/// Pauses between attempts to connect, from and to.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

/// Asks the daemon on this host. Needs a tokio runtime with I/O and time.
#[derive(Clone)]
pub struct Client {
    pool: Arc<Pool>,
    deadline: Duration,
    patience: Duration,
}

impl Client {
    /// A client of the daemon that listens at this socket. Connects when there is something to ask.
    #[must_use]
    pub fn unix(socket: impl Into<PathBuf>) -> Self {
        Self { pool: Arc::new(Pool::new(socket.into())), deadline: DEADLINE, patience: Duration::MAX }
    }

    /// Sets the time that a request may take in all; 10 seconds where it is not set. The connections are
    /// shared with the client that this one was cloned from.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Sets how long to wait, within the deadline, for a daemon that takes no connections: it may be about
    /// to restart. The whole deadline where it is not set.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The socket it asks at.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.pool.socket()
    }

    /// What belongs to one org.
    #[must_use]
    pub fn org<'a>(&'a self, org: &'a OrgId) -> Org<'a> {
        Org::new(self, org)
    }

    /// What runs, and who this caller is in its eyes.
    ///
    /// # Errors
    /// Whose fault it is.
    pub async fn status(&self) -> Result<Status, Error> {
        self.send(&Request::get("/v1/status")).await?.read()
    }

    /// Whether the vault may serve.
    ///
    /// # Errors
    /// [`Error::Vault`] with the reason where it may not.
    pub async fn ready(&self) -> Result<(), Error> {
        self.send(&Request::get("/readyz")).await?.success().map(drop)
    }

    /// Sends any request; the answer may have any status.
    ///
    /// # Errors
    /// [`Error::Transport`] alone: what the daemon says against it is for [`Response::success`] to find.
    pub async fn send(&self, request: &Request) -> Result<Response, Error> {
        let started = Instant::now();
        let sent = AtomicBool::new(false);
        let answered = match started.checked_add(self.deadline) {
            Some(end) => timeout_at(end, self.exchange(request, started, &sent)).await,
            None => Ok(self.exchange(request, started, &sent).await),
        };
        Ok(answered.unwrap_or_else(|_| {
            Err(if sent.load(Ordering::Relaxed) { Transport::Silent } else { Transport::Deadline })
        })?)
    }

    async fn exchange(
        &self,
        request: &Request,
        started: Instant,
        sent: &AtomicBool,
    ) -> Result<Response, Transport> {
        let _slot = self.pool.slot().await?;
        let mut kept = self.pool.kept().await;
        let mut attempts = 0;
        loop {
            let line = match kept.take() {
                Some(line) => line,
                None => self.connect(started).await?,
            };
            match self.attempt(line, request, sent).await {
                Ok(answer) => return Ok(answer),
                Err(Failed::Unsent) => {}
                Err(Failed::Lost) => {
                    attempts += 1;
                    if !request.repeatable || attempts == ATTEMPTS {
                        return Err(Transport::Lost);
                    }
                }
                Err(Failed::Final(why)) => return Err(why),
            }
        }
    }

    async fn attempt(
        &self,
        mut line: Line,
        request: &Request,
        sent: &AtomicBool,
    ) -> Result<Response, Failed> {
        let message = message(request)?;
        sent.store(true, Ordering::Relaxed);
        let answer = line.exchange(message).await.map_err(|broken| match broken {
            Broken::Lost => Failed::Lost,
            Broken::NotHttp => Failed::Final(Transport::Protocol("it is not HTTP")),
            Broken::Unsent => {
                sent.store(false, Ordering::Relaxed);
                Failed::Unsent
            }
        })?;
        let answer = Response::collect(answer, request.answer).await.map_err(|unread| match unread {
            Unread::Lost => Failed::Lost,
            Unread::TooLarge => Failed::Final(Transport::TooLarge(request.answer)),
        })?;
        self.pool.keep(line);
        Ok(answer)
    }

    async fn connect(&self, started: Instant) -> Result<Line, Transport> {
        let patience = self.patience.min(self.deadline);
        let mut pause = PAUSE.0;
        loop {
            let kind = match self.pool.open().await {
                Ok(line) => return Ok(line),
                Err(error) => error.kind(),
            };
            let worth_waiting = match kind {
                // No socket yet, or nobody behind it.
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    started.elapsed() + pause < patience
                }
                // EAGAIN of connect(2) on a Unix socket: a daemon is there, its backlog is full.
                io::ErrorKind::WouldBlock => started.elapsed() + pause < self.deadline,
                _ => false,
            };
            if !worth_waiting {
                return Err(Transport::Connect(kind));
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("socket", &self.socket())
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

enum Failed {
    Final(Transport),
    Lost,
    Unsent,
}

fn message(request: &Request) -> Result<hyper::Request<Full<bytes::Bytes>>, Failed> {
    let mut message = hyper::Request::builder()
        .method(request.method.clone())
        .uri(request.target.as_str())
        // RFC 9112, section 3.2: a Host there must be, and over a Unix socket it says nothing.
        .header(header::HOST, "tokenkeep");
    if !request.body.is_empty() {
        message = message.header(header::CONTENT_TYPE, "application/json");
    }
    message = match request.condition {
        Condition::Absent => message.header(header::IF_NONE_MATCH, "*"),
        Condition::Always => message,
        Condition::Generation(generation) => message.header(header::IF_MATCH, format!("\"{generation}\"")),
    };
    message
        .body(Full::new(request.body.clone()))
        .map_err(|_| Failed::Final(Transport::Protocol("the path of the request is not a URI")))
}
