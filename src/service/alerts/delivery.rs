//! One delivery to the webhook: written and signed by Standard Webhooks 1.0.0, and what came of it.
//!
//! The secret is read from its place for this one delivery, and wiped after it: one that was replaced is found.
//!
//! Never follows a redirect, and never reads more of an answer than it must: only its status says anything.

use std::fmt;
use std::time::Duration;

use tokenkeep_client::moment::Moment;
use zeroize::Zeroizing;

use crate::crypto::webhook::SigningSecrets;
use crate::domain::event::queue::Trouble;
use crate::domain::event::webhook::Webhook;
use crate::net::outbound::{Answer, Deadlines, Door, OutboundError, Request};
use crate::os::held::{Held, HeldError};

/// What a receiver answers is of no use here; one that floods is not well.
const LONGEST_ANSWER: usize = 64 * 1024;
/// Four secrets have 400 bytes.
const LONGEST_SECRET: usize = 4096;
const USER_AGENT: &str = concat!("tokenkeep/", env!("CARGO_PKG_VERSION"));

/// Why nothing can be signed. Ours to mend: nobody was asked.
#[derive(Debug)]
pub enum UnsignedError {
    /// The secret cannot be had.
    Held(HeldError),
    /// What is there is none.
    NotASecret(Held),
}

impl UnsignedError {
    /// Whether others may have read it.
    #[must_use]
    pub fn is_unsafe(&self) -> bool {
        matches!(self, Self::Held(why) if why.is_unsafe())
    }
}

impl fmt::Display for UnsignedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(why) => write!(f, "secret: {why}"),
            Self::NotASecret(held) => write!(
                f,
                "secret: {held} is not whsec_ and the base64 of 24 to 64 bytes, one a line and four at the most; make \
                 one with: echo \"whsec_$(openssl rand -base64 32)\""
            ),
        }
    }
}

impl std::error::Error for UnsignedError {}

/// Reads the secret, and sends nothing: whatever would keep an event from being signed is found now.
///
/// # Errors
/// See [`UnsignedError`].
pub fn examine(webhook: &Webhook) -> Result<(), UnsignedError> {
    secrets(webhook).map(drop)
}

fn secrets(webhook: &Webhook) -> Result<SigningSecrets, UnsignedError> {
    let text = webhook.secret.read(LONGEST_SECRET).map_err(UnsignedError::Held)?;
    SigningSecrets::parse(&text).ok_or_else(|| UnsignedError::NotASecret(webhook.secret.clone()))
}

/// What came of a delivery.
pub(super) enum Delivered {
    /// An answer with this status, and when the receiver wishes to be asked again.
    Answered(u16, Option<Duration>),
    /// No answer.
    Unanswered(OutboundError),
    /// A fault of ours in the middle of it.
    Unended,
    /// It could not be signed.
    Unsigned(UnsignedError),
}

impl Delivered {
    pub(super) fn is_success(&self) -> bool {
        matches!(self, Self::Answered(200..300, _))
    }

    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Answered(status, _) => Some(*status),
            Self::Unanswered(_) | Self::Unended | Self::Unsigned(_) => None,
        }
    }

    /// Whether it is this event that is not wanted, or the receiver that is not well.
    pub(super) fn trouble(&self) -> Trouble {
        match self {
            Self::Answered(429, wish) => Trouble::Down(*wish),
            Self::Answered(408, _) => Trouble::Down(None),
            Self::Answered(400..500, _) => Trouble::Refused,
            Self::Answered(_, wish) => Trouble::Down(*wish),
            Self::Unanswered(_) | Self::Unended | Self::Unsigned(_) => Trouble::Down(None),
        }
    }
}

impl fmt::Display for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(status @ 300..400, _) => {
                write!(f, "status {status}: a redirect, which is not followed; name the place itself in url")
            }
            Self::Answered(status, _) => write!(f, "status {status}"),
            Self::Unanswered(why) => write!(f, "the webhook {why}"),
            Self::Unended => f.write_str("the delivery did not end"),
            Self::Unsigned(why) => why.fmt(f),
        }
    }
}

/// Sends it once. Blocks.
pub(super) fn send(door: &Door, webhook: &Webhook, id: &str, now: Moment, body: Vec<u8>) -> Delivered {
    let signature = match secrets(webhook) {
        Ok(secrets) => secrets.sign(id, now.unix(), &body),
        Err(why) => return Delivered::Unsigned(why),
    };
    let plain = |text: &str| Zeroizing::new(text.to_owned());
    let request = Request::new("POST", webhook.address.target())
        .with_header("user-agent", plain(USER_AGENT))
        .with_header("webhook-id", plain(id))
        .with_header("webhook-timestamp", plain(&now.unix().to_string()))
        .with_header("webhook-signature", plain(&signature))
        .with_body("application/json", Zeroizing::new(body));
    match door.exchange(webhook.address.host(), &webhook.roots, request, LONGEST_ANSWER, Deadlines::REMOTE) {
        Ok(Answer { status, retry_after, .. }) => Delivered::Answered(status, retry_after),
        Err(why) => Delivered::Unanswered(why),
    }
}
