//! What a principal asks: the actions that policy grants and the audit log names.

use std::fmt;

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// An action, alphabetical.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[$doc])* $variant,)* }

        impl Action {
            /// Every action there is.
            pub const ALL: &'static [Action] = &[$(Action::$variant),*];

            /// The word for it in policy and audit.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Action::$variant => $text),* }
            }
        }
    };
}

actions! {
    /// Brings an event to who is to be told.
    AlertDeliver = "alert:deliver",
    /// Shows which events wait.
    AlertRead = "alert:read",
    /// Takes note of an event that belongs to no other change.
    AlertTell = "alert:tell",
    /// Sends an event that tells nothing.
    AlertTest = "alert:test",
    /// Reads or verifies the audit log.
    AuditRead = "audit:read",
    /// Makes backups, proves them and removes those that are too old.
    BackupMake = "backup:make",
    /// Shows the backups there are.
    BackupRead = "backup:read",
    /// Comes in, or tries to.
    Connect = "connect",
    /// Compares a token set with the stored one; changes nothing.
    ConnectionCompare = "connection:compare",
    /// Deletes a connection.
    ConnectionDelete = "connection:delete",
    /// Lists connections, without tokens.
    ConnectionList = "connection:list",
    /// Shows a connection, without tokens.
    ConnectionRead = "connection:read",
    /// Lets connections go that a copy of the store holds back.
    ConnectionRelease = "connection:release",
    /// Stores a token set.
    ConnectionWrite = "connection:write",
    /// Lists the consents of an org.
    ConsentList = "consent:list",
    /// Records a consent.
    ConsentRecord = "consent:record",
    /// Withdraws a consent.
    ConsentWithdraw = "consent:withdraw",
    /// Opens ciphertexts that the application keeps.
    CryptDecrypt = "crypt:decrypt",
    /// Seals values that the application keeps.
    CryptEncrypt = "crypt:encrypt",
    /// Reads the root key source again.
    KeyReload = "key:reload",
    /// Shows which root keys wrap what.
    KeyRead = "key:read",
    /// Retires a key that nothing needs.
    KeyRetire = "key:retire",
    /// Re-wraps keys under the primary root key, makes new keys for orgs.
    KeyRotate = "key:rotate",
    /// Reads the figures that are published for monitoring.
    MetricsRead = "metrics:read",
    /// Creates an org.
    OrgCreate = "org:create",
    /// Lists orgs.
    OrgList = "org:list",
    /// Shows an org.
    OrgRead = "org:read",
    /// Hands on actions of its own for a while, in a pass.
    PassIssue = "pass:issue",
    /// Asks a provider whether it knows our client.
    ProviderCheck = "provider:check",
    /// Lists the configured providers.
    ProviderList = "provider:list",
    /// Shows a configured provider.
    ProviderRead = "provider:read",
    /// Reads a refresh token.
    RefreshTokenRead = "refresh-token:read",
    /// Lists the revocations that are still to be done.
    RevocationList = "revocation:list",
    /// Deletes a secret.
    SecretDelete = "secret:delete",
    /// Lists secrets, without values.
    SecretList = "secret:list",
    /// Reads a secret.
    SecretRead = "secret:read",
    /// Stores a secret.
    SecretWrite = "secret:write",
    /// Shows the state of the vault.
    StatusRead = "status:read",
    /// Reads an access token.
    TokenRead = "token:read",
    /// Exchanges a refresh token for a new token set at its provider.
    TokenRefresh = "token:refresh",
    /// Ends a deleted connection's tokens at their provider.
    TokenRevoke = "token:revoke",
    /// Asks what was refused before it became an operation.
    Unparsed = "unparsed",
    /// Starts, stops, recovers: the daemon's own acts.
    VaultRun = "vault:run",
}

impl Action {
    /// The action with this word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.as_str() == text)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
