//! The shapes of the contract, as they stand in request and response bodies.
//!
//! Shapes that come in refuse unknown fields: a misspelt `refresh_token` must not be a lost one. Shapes
//! that go out may grow, so a reader takes fields it does not know.
//!
//! Secrets are read into their own types here, and written nowhere but by the `body` of the shape that
//! carries them.

mod admin;
mod alert;
mod authorization;
mod backup;
mod body;
mod connection;
mod consent;
mod crypt;
pub(crate) mod items;
mod org;
mod page;
mod pass;
mod provider;
mod quarantine;
mod revocation;
mod secret;
mod status;
mod token;
mod token_set;

pub use admin::{
    AuditBreak, AuditVerifyOut, DoctorOut, Finding, KeptBackupsOut, KeptRootKeyOut, KeysOut, OrgKeyOut,
    OrgKeysOut, OrgRotationIn, OrgRotationOut, RetireIn, RetireOut, RootKeyOut,
};
pub use alert::{AlertOut, AlertTestOut, AlertsOut};
pub use authorization::{AuthorizationOut, AuthorizationRequest, CompleteRequest};
pub use backup::{BackupRun, BackupSet, BackupsOut};
pub use body::to_body;
pub use connection::{ConnectionOut, ConnectionState, Deleted, ExpiringOut, Forecast, GrantSharing};
pub use consent::{ConsentIn, ConsentOut};
pub(crate) use crypt::encrypt_body;
pub use crypt::{CRYPT_ITEMS, DecryptOut, DecryptRequest, DecryptResult, EncryptOut, EncryptRequest};
pub use org::OrgOut;
pub use page::Page;
pub use pass::{PassOut, PassRequest};
pub use provider::{ProviderCheckOut, ProviderOut, ProviderSetting};
pub use quarantine::{QuarantineStatus, ReleaseIn, ReleaseOut};
pub use revocation::{RevocationOut, RevocationState, RevocationsOut};
pub use secret::{SecretIn, SecretInfo, SecretOut, SecretVersion};
pub use status::{AuditStatus, PrincipalOut, Status, StoreStatus};
pub use token::{BatchOut, BatchRequest, BatchResult, RefreshRequest, RefreshTokenOut, Token};
pub use token_set::{Scope, TokenSet};

/// Small texts that the application keeps beside a connection or a secret.
pub type Labels = std::collections::BTreeMap<String, String>;
