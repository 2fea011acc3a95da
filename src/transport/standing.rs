//! How long a connection may stay: on a socket as long as it likes; over TLS as long as its certificate is good.
//!
//! Never lets a connection outlive the certificate that it came in by.

use std::sync::Arc;

use crate::net::server::{self, TlsServer};

/// How long a connection may stay.
pub enum Standing {
    /// The kernel's word does not end.
    Lasting,
    /// While its certificate has not ended, and is not revoked by files that were read since.
    Proved(Arc<TlsServer>, server::Standing),
}

impl Standing {
    /// Whether it may stay no longer. Asked once a second.
    pub(super) fn has_lapsed(&mut self) -> bool {
        let Self::Proved(tls, standing) = self else { return false };
        let reason = tls.lapsed(standing);
        if let Some(reason) = reason {
            tracing::info!(%reason, "a connection is ended: its certificate is no longer good");
        }
        reason.is_some()
    }
}
