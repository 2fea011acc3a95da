//! Client for tokenkeep, the token vault: asks the daemon on this host for a token that is valid now.
//!
//! ```no_run
//! # use tokenkeep_client::{Client, ids::{ConnectionId, OrgId}};
//! # use std::time::Duration;
//! # async fn three_lines(org: OrgId, id: ConnectionId) -> Result<(), tokenkeep_client::Error> {
//! let vault = Client::unix("/run/tokenkeep/tokenkeep.sock");
//! let token = vault.org(&org).token(&id, Duration::from_secs(60)).await?;
//! let header = format!("Bearer {}", token.access_token.expose());
//! # Ok(()) }
//! ```
//!
//! When the API behind the token answers 401 all the same, ask once with
//! [`Org::newer_token`](org::Org::newer_token) and the generation that was refused. What goes wrong says
//! whose fault it is: see [`Error`]. One [`Client`] serves a whole process: it is cheap to clone, keeps
//! its connections and gives every request a deadline.
//!
//! | Feature | |
//! |---|---|
//! | `mtls` | `Client::mtls("vault.internal:8443", credentials)`: the daemon on another host; certificates may be replaced while it runs |
//! | `tower` | a layer around an HTTP client that adds `Authorization`, and after a 401 tries once more with a newer token |
//! | `blocking` | the same client without `async` |
//!
//! None of them is on by itself: whoever reads tokens at the socket builds no cryptography.
//!
//! # What stays in memory
//!
//! Secrets come in types of their own ([`secret`]) that are wiped when they go, bodies in buffers that are wiped, and what
//! hyper and rustls read into is wiped before they read again ([`wiped_io`]): a connection that idles holds no answer.
//! What a library cannot do for its application is to wipe what others free: buffers of rustls and serde_json between, and
//! the connection's own when it closes. hyper keeps the head of the last request, with a pass in it where one was shown,
//! until the next one. An application that wants none of that to be found either installs an allocator that writes zeros
//! over what is freed (the crate `zeroizing-alloc` is one; daemon and command line have their own), keeps core dumps off (`prctl(PR_SET_DUMPABLE)`,
//! `RLIMIT_CORE`), and turns swap off or encrypts it.
//!
//! ```ignore
//! #[global_allocator]
//! static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> = zeroizing_alloc::ZeroAlloc(std::alloc::System);
//! ```
//!
//! Also the home of what both sides must agree on: identifiers, secret types, wire shapes and problem
//! codes. The daemon builds on these, so that the two cannot drift.
//!
//! Imports nothing of the daemon.

#[cfg(feature = "blocking")]
pub mod blocking;
pub mod client;
mod crypt;
mod door;
pub mod error;
pub mod ids;
pub mod import;
pub mod limits;
pub mod moment;
#[cfg(feature = "mtls")]
pub mod mtls;
pub mod org;
mod pool;
pub mod problem;
pub mod request;
pub mod response;
#[cfg(feature = "schema")]
mod schema;
pub mod secret;
#[cfg(feature = "tower")]
pub mod tower;
pub mod wiped_io;
pub mod wire;

pub use client::Client;
pub use error::{Error, Handshake, Transport};
pub use org::Org;
pub use request::{Condition, Request};
pub use response::Response;
