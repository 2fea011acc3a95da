//! The second door: who comes in by a certificate, who does not, and what is written down of either.

#![allow(unreachable_pub, reason = "shared by the modules of this test binary")]

mod doors;
mod limits;
mod protocol;
mod reload;
mod wrong;

use crate::kit::pki::{Identity, Pki};
use crate::kit::tls::TlsCaller;
use crate::kit::{Client, Configuration, TestVault};

/// The name that the tests' client has in its certificate.
pub const WEB: &str = "spiffe://example/web";

/// A vault with a second door.
pub struct Second {
    pub pki: Pki,
    pub vault: TestVault,
}

impl Second {
    /// The tests' own client may come in by both doors.
    pub fn open() -> Self {
        Self::with(Configuration::default())
    }

    pub fn with(configuration: Configuration) -> Self {
        let mut second = Self::closed(configuration);
        second.vault.start();
        second
    }

    /// As [`Second::with`], before the daemon is started.
    pub fn closed(mut configuration: Configuration) -> Self {
        configuration.mtls.get_or_insert("");
        configuration.clients[0].san = Some(WEB);
        let pki = Pki::new();
        let vault = TestVault::stopped(configuration);
        pki.furnish(vault.room());
        Self { pki, vault }
    }

    pub fn caller(&self, identity: &Identity) -> TlsCaller {
        TlsCaller::new(self.vault.mtls_address(), &self.pki.servers, Some(identity))
    }

    /// The tests' own client.
    pub fn web(&self) -> TlsCaller {
        self.caller(&self.pki.client(WEB))
    }
}

/// A client that comes in by its certificate alone, as far as these tests go.
pub fn client(name: &'static str, san: &'static str) -> Client {
    Client { name, san: Some(san), uid: crate::kit::configuration::NOBODY_S_UID, ..Client::own() }
}
