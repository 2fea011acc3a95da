//! One connection: HTTP/1.1 or HTTP/2, whichever the client speaks, until it ends, stalls or the daemon stops.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Interval;

use super::answer;
use super::application::Application;
use super::begun::{Begun, Spoken, begin};
use super::pulse::{Deadlines, Felt, Pulse, Stand};
use super::standing::Standing;
use super::turnover::Turnover;
use crate::net::wiped_io::wiped;
use crate::vault::caller::Caller;

/// hyper reads into one buffer of this size and keeps no more: what it has read lies in one place, and not for long.
const BUFFER: usize = 8192;
/// Requests that one HTTP/2 connection may have in flight.
const STREAMS: u32 = 128;
const TICK: Duration = Duration::from_secs(1);

/// Serves a connection until its end.
pub async fn serve<T>(
    io: T,
    application: Arc<Application>,
    caller: Arc<Caller>,
    deadlines: Deadlines,
    standing: Standing,
    stopping: watch::Receiver<bool>,
) where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let pulse = Arc::new(Pulse::default());
    let felt = Arc::clone(&pulse);
    let service = service_fn(move |incoming: Request<Incoming>| {
        let (application, caller) = (Arc::clone(&application), Arc::clone(&caller));
        let in_flight = felt.begin(incoming.version() == Version::HTTP_2);
        async move {
            let request = application.request_ids.next();
            let (answer, spare) = application.answer(&caller, request, incoming).await;
            let answer = answer::finish(answer, request, in_flight, spare);
            Ok::<_, Infallible>(if caller.is_remote() { answer::strict(answer) } else { answer })
        }
    });
    let io = Felt::new(wiped(io), Arc::clone(&pulse));
    let tick = tokio::time::interval(TICK);
    let mut watched = Watched { pulse, deadlines, standing, stopping, tick, told: false, fresh: true };
    let Some((spoken, io)) = watched.begun(io).await else { return };
    match spoken {
        Spoken::Http1 => {
            let connection = http1().serve_connection(TokioIo::new(io), service);
            watched.drive(connection, http1::Connection::graceful_shutdown).await;
        }
        Spoken::Http2 => {
            let connection = http2().serve_connection(TokioIo::new(Turnover::new(io)), service);
            watched.drive(connection, http2::Connection::graceful_shutdown).await;
        }
    }
}

/// A connection in the eyes of those who may end it: its deadlines, the daemon that stops, the certificate it came in by.
struct Watched {
    pulse: Arc<Pulse>,
    deadlines: Deadlines,
    standing: Standing,
    stopping: watch::Receiver<bool>,
    tick: Interval,
    /// It was told to end.
    told: bool,
    /// It has seen no tick yet.
    fresh: bool,
}

/// What a tick says of a connection.
#[derive(PartialEq, Eq)]
enum Verdict {
    GoesOn,
    /// It is to end as soon as nothing is in flight.
    Ends,
    Over,
}

impl Watched {
    /// A stream that has begun, and what is spoken on it; none where it is over before.
    async fn begun<T: AsyncRead + Unpin>(&mut self, io: T) -> Option<(Spoken, Begun<T>)> {
        let mut beginning = pin!(begin(io));
        loop {
            tokio::select! {
                biased;
                begun = &mut beginning => return begun.inspect_err(|why| ended_early(why)).ok(),
                // It has asked for nothing: there is nothing to wait for.
                _ = self.tick.tick() => if self.verdict() != Verdict::GoesOn { return None },
            }
        }
    }

    /// Polls a connection until its end.
    async fn drive<C>(mut self, connection: C, wind_down: fn(Pin<&mut C>))
    where
        C: Future<Output = hyper::Result<()>>,
    {
        let mut connection = pin!(connection);
        loop {
            tokio::select! {
                biased;
                ended = &mut connection => return drop(ended.inspect_err(|why| ended_early(why))),
                // Only answers set it, and they wake the connection that is looked at here.
                () = poll_fn(|_| if self.pulse.ends() && !self.told { Poll::Ready(()) } else { Poll::Pending }) => {
                    self.told = true;
                    wind_down(connection.as_mut());
                }
                // Everything but the requests themselves is seen to once a second: nothing else is polled with them.
                _ = self.tick.tick() => match self.verdict() {
                    Verdict::GoesOn => {}
                    Verdict::Ends => wind_down(connection.as_mut()),
                    Verdict::Over => return,
                },
            }
        }
    }

    /// At a tick. Says `Ends` once.
    fn verdict(&mut self) -> Verdict {
        let stand = self.pulse.tick(&self.deadlines);
        if stand == Stand::Overdue {
            tracing::debug!("a connection was dropped: a deadline is over");
            return Verdict::Over;
        }
        // Who was let in a moment before the end has not said yet what it wants: it has until the next tick.
        let is_stopping = !std::mem::take(&mut self.fresh) && *self.stopping.borrow();
        let ends = stand == Stand::Ending || is_stopping || self.standing.has_lapsed();
        if ends && !std::mem::replace(&mut self.told, true) { Verdict::Ends } else { Verdict::GoesOn }
    }
}

fn ended_early(why: &dyn std::fmt::Display) {
    tracing::debug!(%why, "a connection ended early");
}

fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Without half-closed connections hyper looks for the end of the stream while it answers, and sets another
    // buffer up for that: two of them by turns, where one would do.
    builder.half_close(true).max_buf_size(BUFFER).timer(TokioTimer::new()).header_read_timeout(None);
    builder
}

fn http2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(BUFFER as u32)
        .max_pending_accept_reset_streams(20)
        .keep_alive_interval(None);
    builder
}
