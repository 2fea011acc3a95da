//! One connection: HTTP/1.1 or HTTP/2, whichever the client speaks, until it ends, stalls or the daemon stops.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::answer;
use super::application::Application;
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
    mut standing: Standing,
    stopping: watch::Receiver<bool>,
) where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let pulse = Arc::new(Pulse::default());
    let io = TokioIo::new(Felt::new(Turnover::new(wiped(io)), Arc::clone(&pulse)));
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
    let builder = builder();
    let mut connection = std::pin::pin!(builder.serve_connection(io, service));
    let mut tick = tokio::time::interval(TICK);
    let (mut told, mut fresh) = (false, true);
    loop {
        tokio::select! {
            biased;
            ended = &mut connection => {
                if let Err(why) = ended {
                    tracing::debug!(%why, "a connection ended early");
                }
                return;
            }
            // Only answers set it, and they wake the connection that is looked at here.
            () = poll_fn(|_| if pulse.ends() && !told { Poll::Ready(()) } else { Poll::Pending }) => {
                told = true;
                connection.as_mut().graceful_shutdown();
            }
            // Everything but the requests themselves is seen to once a second: nothing else is polled with them.
            _ = tick.tick() => {
                let stand = pulse.tick(&deadlines);
                if stand == Stand::Overdue {
                    tracing::debug!("a connection was dropped: a deadline is over");
                    return;
                }
                // Who was let in a moment before the end has not said yet what it wants: it has until the next tick.
                let ends = stand == Stand::Ending;
                let over = told || ends || (!fresh && *stopping.borrow()) || standing.has_lapsed();
                fresh = false;
                if over && !told {
                    told = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // Without half-closed connections hyper looks for the end of the stream while it answers, and sets another
    // buffer up for that: two of them by turns, where one would do.
    builder.http1().half_close(true).max_buf_size(BUFFER).timer(TokioTimer::new()).header_read_timeout(None);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(BUFFER as u32)
        .max_pending_accept_reset_streams(20)
        .keep_alive_interval(None);
    builder
}
