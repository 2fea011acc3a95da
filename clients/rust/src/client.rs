//! The client: one a process, cheap to clone.
//!
//! The hard part is a daemon that restarts under a running application. A request that provably never left
//! this process is sent again, whatever it is: on a fresh connection where a kept one turns out dead, and,
//! with a short pause, while nobody takes connections at the socket. A request that may have been read is
//! sent again only where that does no harm.
//!
//! Never waits past the deadline; never carries out a write twice.

use crate::door::{Closed, Door};
use crate::error::{Error, Transport};
use crate::ids::OrgId;
#[cfg(feature = "mtls")]
use crate::mtls::{Credentials, Mtls, Unusable};
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
        Self::at(Door::Unix(socket.into()))
    }

    /// A client of the daemon that listens at `HOST:PORT` and proves to be `HOST`, by a certificate of the
    /// CA in `credentials`. Connects when there is something to ask.
    ///
    /// # Errors
    /// [`Unusable::Address`] alone.
    #[cfg(feature = "mtls")]
    pub fn mtls(address: &str, credentials: Credentials) -> Result<Self, Unusable> {
        Ok(Self::at(Door::Mtls(Box::new(Mtls::new(address, credentials)?))))
    }

    /// As [`Client::mtls`], for a daemon whose certificate is for another name than the one in the address.
    ///
    /// # Errors
    /// [`Unusable::Address`] alone.
    #[cfg(feature = "mtls")]
    pub fn mtls_named(address: &str, name: &str, credentials: Credentials) -> Result<Self, Unusable> {
        Ok(Self::at(Door::Mtls(Box::new(Mtls::named(address, name, credentials)?))))
    }

    fn at(door: Door) -> Self {
        Self { pool: Arc::new(Pool::new(door)), deadline: DEADLINE, patience: Duration::MAX }
    }

    /// Shows these credentials from now on: connections that were opened with others are not used again. For
    /// this client and all that were cloned from the same.
    ///
    /// # Errors
    /// [`Unusable::Door`] where the client asks at a Unix socket.
    #[cfg(feature = "mtls")]
    pub fn replace_credentials(&self, credentials: Credentials) -> Result<(), Unusable> {
        match self.pool.door() {
            Door::Mtls(door) => door.replace(credentials),
            Door::Unix(_) => return Err(Unusable::Door),
        }
        Ok(())
    }

    /// Reads the files of its credentials again, now. They are also read when they change, but only this
    /// says what is wrong with them.
    ///
    /// # Errors
    /// What is wrong with them: the old ones stay in use.
    #[cfg(feature = "mtls")]
    pub fn reload_credentials(&self) -> Result<(), Unusable> {
        match self.pool.door() {
            Door::Mtls(door) => door.reload(),
            Door::Unix(_) => Err(Unusable::Door),
        }
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

    /// The socket it asks at; none over mTLS.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        self.pool.door().socket()
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
        let mut wait = Wait::new(self, started);
        let mut attempts = 0;
        loop {
            let line = match kept.take() {
                Some(line) => line,
                None => self.connect(&mut wait).await?,
            };
            let is_new = line.is_new();
            match self.attempt(line, request, sent).await {
                Ok(answer) => return Ok(answer),
                // Taken and dropped at once: as good as not taken.
                Err(Failed::Unsent) if is_new => wait.after(io::ErrorKind::ConnectionReset).await?,
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
        let message = message(request, self.pool.door().host())?;
        sent.store(true, Ordering::Relaxed);
        let answer = line.exchange(message).await.map_err(|broken| match broken {
            Broken::Lost => Failed::Lost,
            Broken::NotHttp => Failed::Final(Transport::Protocol("it is not HTTP")),
            Broken::Refused(why) => {
                sent.store(false, Ordering::Relaxed);
                Failed::Final(Transport::Handshake(why))
            }
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

    async fn connect(&self, wait: &mut Wait) -> Result<Line, Transport> {
        loop {
            match self.pool.open().await {
                Ok(line) => return Ok(line),
                Err(Closed::Handshake(why)) => return Err(Transport::Handshake(why)),
                Err(Closed::Io(kind)) => wait.after(kind).await?,
            }
        }
    }
}

/// How long a daemon that takes no connections is waited for.
struct Wait {
    started: Instant,
    pause: Duration,
    patience: Duration,
    deadline: Duration,
}

impl Wait {
    fn new(client: &Client, started: Instant) -> Self {
        let Client { deadline, patience, .. } = *client;
        Self { started, pause: PAUSE.0, patience: patience.min(deadline), deadline }
    }

    /// Pauses, where another attempt is worth it after this.
    async fn after(&mut self, kind: io::ErrorKind) -> Result<(), Transport> {
        let span = match kind {
            // No socket yet, nobody behind it, or one who is just leaving.
            io::ErrorKind::NotFound
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::UnexpectedEof => self.patience,
            // EAGAIN of connect(2) on a Unix socket: a daemon is there, its backlog is full.
            io::ErrorKind::WouldBlock => self.deadline,
            _ => Duration::ZERO,
        };
        if self.started.elapsed() + self.pause >= span {
            return Err(Transport::Connect(kind));
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE.1);
        Ok(())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("door", &self.socket().map_or(self.pool.door().host().into(), Path::to_string_lossy))
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

enum Failed {
    Final(Transport),
    Lost,
    Unsent,
}

fn message(request: &Request, host: &str) -> Result<hyper::Request<Full<bytes::Bytes>>, Failed> {
    let mut message = hyper::Request::builder()
        .method(request.method.clone())
        .uri(request.target.as_str())
        .header(header::HOST, host);
    if let Some(authorization) = &request.authorization {
        let unusable = || Failed::Final(Transport::Protocol("the pass is not what the daemon gave out"));
        message = message.header(header::AUTHORIZATION, authorization.clone().ok_or_else(unusable)?);
    }
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
