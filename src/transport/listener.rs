//! The accept loop: who connects is asked of the kernel, once; how many may is bounded, in all and for each user.
//!
//! A client that opens too many connections is turned away and costs nobody else a place.

use std::collections::HashMap;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokenkeep_client::problem::Code;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::application::Application;
use super::pulse::Deadlines;
use super::{answer, connection};
use crate::os::peer::Peer;
use crate::vault::caller::Caller;
use crate::vault::refusal::Refusal;
use crate::vault::request_id::RequestId;

/// Which door a listener is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrance {
    /// The admin socket.
    Admin,
    /// The application socket.
    Application,
}

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// In all.
    pub all: usize,
    /// For one user.
    pub user: usize,
}

/// What an accept loop needs.
pub struct Listener {
    /// Bound and listening.
    pub socket: StdListener,
    /// Which door it is.
    pub entrance: Entrance,
    /// How many may come.
    pub places: Places,
    /// How long they may stall.
    pub deadlines: Deadlines,
    /// What serves them.
    pub application: Arc<Application>,
}

/// What those are told who are turned away before a request was read. Not recorded: a flood would fill the
/// audit log.
fn no_place(request: RequestId) -> Vec<u8> {
    let refusal = Refusal {
        retry_after: Some(1),
        ..Refusal::new(Code::RateLimited, "there are too many connections; keep one and use it again")
    };
    let body = serde_json::to_string(&answer::document(&refusal, request)).unwrap_or_default();
    let length = body.len();
    format!(
        "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/problem+json\r\n\
         cache-control: no-store\r\nx-request-id: {request}\r\nretry-after: 1\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Accepts until `stopping` says so, then waits for the connections to end.
///
/// # Errors
/// The socket cannot be waited on.
pub async fn accept(listener: Listener, mut stopping: watch::Receiver<bool>) -> std::io::Result<()> {
    let socket = UnixListener::from_std(listener.socket.try_clone()?)?;
    let all = Arc::new(Semaphore::new(listener.places.all));
    let users = Users::default();
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(why) => {
                    // Out of descriptors, say: wait for some to come back rather than spin.
                    tracing::warn!(%why, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            _ = stopping.changed() => break,
            Some(_) = connections.join_next() => continue,
        };
        let Ok(peer) = Peer::of(&stream) else { continue };
        let user = peer.uid;
        let (Ok(place), Some(own)) =
            (Arc::clone(&all).try_acquire_owned(), users.enter(user, listener.places.user))
        else {
            turn_away(stream, no_place(listener.application.request_ids.next()));
            continue;
        };
        let caller = Arc::new(listener.identify(peer));
        let serving = connection::serve(
            stream,
            Arc::clone(&listener.application),
            caller,
            listener.deadlines,
            stopping.clone(),
        );
        connections.spawn(async move {
            serving.await;
            drop((place, own));
        });
    }
    // Both descriptors: as long as one is open, who comes now would wait instead of being refused.
    drop((socket, listener.socket));
    while connections.join_next().await.is_some() {}
    Ok(())
}

impl Listener {
    fn identify(&self, peer: Peer) -> Caller {
        match self.entrance {
            Entrance::Admin => self.application.vault.identify_admin(peer),
            Entrance::Application => self.application.vault.identify(peer),
        }
    }
}

fn turn_away(mut stream: UnixStream, words: Vec<u8>) {
    tracing::debug!("a connection was turned away: no place left");
    tokio::spawn(async move {
        let say = async {
            stream.write_all(&words).await?;
            stream.shutdown().await
        };
        drop(tokio::time::timeout(Duration::from_secs(1), say).await);
    });
}

/// Connections by user.
#[derive(Clone, Default)]
struct Users(Arc<Mutex<HashMap<u32, usize>>>);

impl Users {
    fn enter(&self, user: u32, most: usize) -> Option<UserPlace> {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = users.entry(user).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(UserPlace { users: self.clone(), user })
    }
}

/// One connection of a user, until this goes.
struct UserPlace {
    users: Users,
    user: u32,
}

impl Drop for UserPlace {
    fn drop(&mut self) {
        let mut users = self.users.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = users.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                users.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::request_id::RequestIds;
    use tokenkeep_client::problem::Problem;

    #[test]
    fn the_words_for_those_without_a_place_are_a_problem_document() {
        let text = String::from_utf8(no_place(RequestIds::new().next())).expect("ASCII");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains(&format!("content-length: {}", body.len())), "it is {}", body.len());
        let problem: Problem = serde_json::from_str(body).expect("a problem document");
        assert!(head.contains(&format!("x-request-id: {}", problem.request_id)));
        assert_eq!((problem.status, problem.retry_after), (429, Some(1)));
    }

    #[test]
    fn a_user_s_places_come_back() {
        let users = Users::default();
        let first = users.enter(7, 1).expect("a place");
        assert!(users.enter(7, 1).is_none());
        assert!(users.enter(8, 1).is_some());
        drop(first);
        assert!(users.enter(7, 1).is_some());
    }
}
