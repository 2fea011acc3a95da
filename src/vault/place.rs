//! Where the vault's values stand: tables, fields, and blind store keys.
//!
//! The hard problem: a stolen disk must not name a customer. The answer: store keys are HMACs under the
//! index key; names stand only inside seals.
//!
//! ```text
//! store key
//!   0   1   table
//!   1  16   org: HMAC(index key, "org" 0 ORG), first 16 bytes; zeros for the vault's own records
//!  17  16   in the org: HMAC(index key, KIND 0 org-blind PARTS each ended by 0), first 16 bytes; zeros for the org itself
//! ```

use crate::crypto::mac::MacKey;
use crate::crypto::seal::Place;
use crate::store::{KEY_LENGTH, Key};
use tokenkeep_client::ids::{AuthorizationState, ConnectionId, OrgId, ProviderId, SecretName};

/// What the values of a table are sealed under: what a rotation has to walk, and what it may leave alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Under {
    /// Nothing is sealed there.
    Nothing,
    /// It has no records in the store.
    NoRecords,
    /// The key of the org that stands first in the store key.
    OrgKey,
    /// Likewise, and where no org stands there, the system key.
    OrgKeyOrSystemKey,
    /// A root key, and beside it what each key says of itself.
    RootKey,
    /// The system key.
    SystemKey,
}

impl Under {
    /// Whether an org key may have sealed what is there.
    #[must_use]
    pub const fn is_an_orgs(self) -> bool {
        matches!(self, Self::OrgKey | Self::OrgKeyOrSystemKey)
    }
}

/// A table cannot be written down without saying what seals it: so none is forgotten when keys change.
macro_rules! tables {
    ($($(#[$doc:meta])* $table:ident = $number:literal under $under:ident,)*) => {
        /// Tables of the store. Numbers are for ever (docs/recovery.md).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Table { $($(#[$doc])* $table = $number,)* }

        impl Table {
            /// Every table there is.
            pub const ALL: &'static [Table] = &[$(Table::$table),*];

            /// What its values are sealed under.
            #[must_use]
            pub const fn under(self) -> Under {
                match self { $(Table::$table => Under::$under),* }
            }

            /// The table of this number.
            #[must_use]
            pub const fn of(number: u8) -> Option<Self> {
                match number { $($number => Some(Table::$table),)* _ => None }
            }
        }
    };
}

tables! {
    /// The header file's own sealed values; no records of the store.
    Vault = 0 under NoRecords,
    /// One record an org: its wrapped keys and its metadata.
    Org = 1 under RootKey,
    /// One record a connection.
    Connection = 2 under OrgKey,
    /// One record a secret: its metadata and versions.
    Secret = 3 under OrgKey,
    /// One record a version of a secret.
    SecretVersion = 4 under OrgKey,
    /// Notes of the journal; no records of the store.
    Note = 5 under NoRecords,
    /// Passes; no records of the store.
    Pass = 6 under NoRecords,
    /// Ciphertexts that stay with the application; no records of the store.
    Ciphertext = 7 under NoRecords,
    /// One record a connection with a refresh token, under the fingerprint of that token (`shared_grant`).
    Grant = 8 under Nothing,
    /// One record a revocation that is still to be done.
    Revocation = 20 under OrgKey,
    /// One record an authorization that was begun.
    Authorization = 21 under OrgKey,
    /// One record a connection that an org has consented to, or no longer.
    Consent = 22 under OrgKey,
    /// One record an event that somebody is still to be told of.
    Event = 24 under OrgKeyOrSystemKey,
    /// One record a provider whose brake was told of.
    Alarm = 25 under SystemKey,
    /// How far the making of new org keys has come, while it goes on.
    KeyRotation = 26 under SystemKey,
}

/// Fields of a record. Numbers are for ever (docs/recovery.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Field {
    /// The system key and the environment, under a root key.
    SystemKey = 1,
    /// The key of [`Blind`], under the system key.
    IndexKey = 2,
    /// The key of the journal chain, under the system key.
    JournalKey = 3,
    /// The key of the audit chain, under the system key.
    AuditKey = 4,
    /// An org key, under a root key.
    OrgKey = 5,
    /// What is known of a record, names included, under the org key.
    Metadata = 6,
    /// The current access token, under the org key.
    AccessToken = 7,
    /// The current refresh token, under the org key.
    RefreshToken = 8,
    /// The refresh token before the current one, under the org key.
    PreviousRefreshToken = 9,
    /// The ID token that came with the current token set, under the org key.
    IdToken = 10,
    /// The value of a version of a secret, under the org key.
    Value = 11,
    /// Who did what, in a journal record, under the system key.
    Note = 12,
    /// What a pass says, under the system key.
    Pass = 13,
    /// What an application had encrypted, under the org key.
    Ciphertext = 14,
    /// What is known of the exchange of the current refresh token, under the org key; nothing where nothing is open.
    Exchange = 15,
    /// An answer of a provider that came and could not be read, under the org key.
    Answer = 16,
    /// What opens the newest backup in a drill, under the system key.
    DrillIdentity = 17,
    /// How many records were under each org key when a set of backups was begun, under the system key.
    KeyCounts = 18,
    /// What has happened: under the org key where it happened to an org's, else under the system key.
    Event = 24,
    /// Which provider it is, under the system key.
    Alarm = 25,
    /// What an authorization was begun with, under the org key.
    Authorization = 30,
    /// The code verifier of an authorization, under the org key.
    CodeVerifier = 31,
    /// What is known of a consent, under the org key.
    Consent = 32,
    /// An org key before the current one, under a root key: it opens what is not yet sealed anew, and ciphertexts.
    FormerOrgKey = 40,
    /// An org key that opens ciphertexts and nothing else, under a root key.
    RetiredOrgKey = 41,
    /// What is known of the org key before it, under that key.
    KeyNote = 42,
    /// How far the making of new org keys has come, under the system key.
    KeyRotation = 43,
}

/// The blind name of an org.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrgBlind(pub [u8; 16]);

impl OrgBlind {
    /// Of the vault's own records.
    pub const NOBODY: Self = Self([0; 16]);

    /// Of the org that a record belongs to, which stands first in its key.
    #[must_use]
    pub fn of_record(key: &Key) -> Self {
        let mut blind = [0; 16];
        blind.copy_from_slice(&key.0[1..17]);
        Self(blind)
    }
}

/// Makes blind store keys.
pub struct Blind(MacKey);

impl Blind {
    /// Under the index key.
    #[must_use]
    pub fn new(index_key: MacKey) -> Self {
        Self(index_key)
    }

    /// The blind name of an org.
    #[must_use]
    pub fn org(&self, org: &OrgId) -> OrgBlind {
        OrgBlind(first_half(&self.0.tag(&[b"org\0", org.as_str().as_bytes()])))
    }

    /// Where a connection stands.
    #[must_use]
    pub fn connection(&self, org: OrgBlind, id: &ConnectionId) -> Key {
        let (provider, name) = (id.provider.as_str().as_bytes(), id.name.as_str().as_bytes());
        let tag = self.0.tag(&[b"connection\0", &org.0, provider, b"\0", name, b"\0"]);
        key(Table::Connection, org, first_half(&tag))
    }

    /// Where the consent to a connection stands.
    #[must_use]
    pub fn consent(&self, org: OrgBlind, id: &ConnectionId) -> Key {
        let (provider, name) = (id.provider.as_str().as_bytes(), id.name.as_str().as_bytes());
        let tag = self.0.tag(&[b"consent\0", &org.0, provider, b"\0", name, b"\0"]);
        key(Table::Consent, org, first_half(&tag))
    }

    /// A refresh token, named. The same token has the same name wherever it stands.
    #[must_use]
    pub fn refresh_token(&self, token: &[u8]) -> [u8; 16] {
        first_half(&self.0.tag(&[b"refresh token\0", token]))
    }

    /// An account at a provider, named. The same account has the same name in every org.
    #[must_use]
    pub fn account(&self, provider: &ProviderId, account: &str) -> [u8; 16] {
        first_half(&self.0.tag(&[b"account\0", provider.as_str().as_bytes(), b"\0", account.as_bytes()]))
    }

    /// Where it stands that the brake of a provider was told of.
    #[must_use]
    pub fn alarm(&self, provider: &ProviderId) -> Key {
        let tag = self.0.tag(&[b"alarm\0", provider.as_str().as_bytes(), b"\0"]);
        key(Table::Alarm, OrgBlind::NOBODY, first_half(&tag))
    }

    /// Where an authorization stands.
    #[must_use]
    pub fn authorization(&self, org: OrgBlind, state: &AuthorizationState) -> Key {
        let tag = self.0.tag(&[b"authorization\0", &org.0, state.as_str().as_bytes(), b"\0"]);
        key(Table::Authorization, org, first_half(&tag))
    }

    /// Where a secret stands.
    #[must_use]
    pub fn secret(&self, org: OrgBlind, name: &SecretName) -> Key {
        let tag = self.0.tag(&[b"secret\0", &org.0, name.as_str().as_bytes(), b"\0"]);
        key(Table::Secret, org, first_half(&tag))
    }

    /// Where a version of a secret stands.
    #[must_use]
    pub fn secret_version(&self, org: OrgBlind, name: &SecretName, version: u64) -> Key {
        let name = name.as_str().as_bytes();
        let tag = self.0.tag(&[b"secret version\0", &org.0, name, b"\0", &version.to_be_bytes()]);
        key(Table::SecretVersion, org, first_half(&tag))
    }
}

/// Where a connection is found by its refresh token.
#[must_use]
pub fn grant_key(grant: [u8; 16], connection: &Key) -> Key {
    let mut inside = [0; 16];
    inside.copy_from_slice(&connection.0[17..]);
    key(Table::Grant, OrgBlind(grant), inside)
}

/// What the keys of all connections with this refresh token start with.
#[must_use]
pub fn grant_prefix(grant: [u8; 16]) -> [u8; 17] {
    org_prefix(Table::Grant, OrgBlind(grant))
}

/// Where an org stands.
#[must_use]
pub fn org_key(org: OrgBlind) -> Key {
    key(Table::Org, org, [0; 16])
}

/// Where it stands how far the making of new org keys has come.
#[must_use]
pub fn key_rotation_key() -> Key {
    key(Table::KeyRotation, OrgBlind::NOBODY, [0; 16])
}

/// Where an event about the record under `about` stands: beside the others about it, under a name that was never used.
#[must_use]
pub fn event_key(about: &Key, name: [u8; 8]) -> Key {
    let mut event = *about;
    event.0[0] = Table::Event as u8;
    event.0[25..].copy_from_slice(&name);
    event
}

/// Where an event about the vault as a whole stands.
#[must_use]
pub fn vault_event_key(name: [u8; 8]) -> Key {
    event_key(&key(Table::Event, OrgBlind::NOBODY, [0; 16]), name)
}

/// What the event under this key is about: two events about one thing say the same.
#[must_use]
pub fn subject_of_event(event: &Key) -> [u8; 24] {
    let mut subject = [0; 24];
    subject.copy_from_slice(&event.0[1..25]);
    subject
}

/// Where a revocation stands that is still to be done: in no order, and named by chance.
#[must_use]
pub fn revocation_key(org: OrgBlind, chance: [u8; 16]) -> Key {
    key(Table::Revocation, org, chance)
}

/// What the keys of a table start with; of one org's records in it.
#[must_use]
pub fn org_prefix(table: Table, org: OrgBlind) -> [u8; 17] {
    let mut prefix = [0; 17];
    prefix[0] = table as u8;
    prefix[1..].copy_from_slice(&org.0);
    prefix
}

/// The place of a field of the record under `key`.
#[must_use]
pub fn place(vault: [u8; 16], key: &Key, field: Field) -> Place {
    let mut record = [0; 32];
    record.copy_from_slice(&key.0[1..]);
    Place { vault, table: key.0[0], record, field: field as u8 }
}

/// As [`place`], of a field by its number.
#[must_use]
pub(super) fn place_of(vault: [u8; 16], key: &Key, field: u8) -> Place {
    Place { field, ..place(vault, key, Field::Metadata) }
}

/// The place of one of the vault's own values.
#[must_use]
pub fn vault_place(vault: [u8; 16], table: Table, field: Field) -> Place {
    Place { vault, table: table as u8, record: [0; 32], field: field as u8 }
}

/// The place of the ciphertexts of an org: wherever its application keeps them.
#[must_use]
pub fn ciphertext_place(vault: [u8; 16], org: OrgBlind) -> Place {
    place(vault, &key(Table::Ciphertext, org, [0; 16]), Field::Ciphertext)
}

fn key(table: Table, org: OrgBlind, inside: [u8; 16]) -> Key {
    let mut key = [0; KEY_LENGTH];
    key[0] = table as u8;
    key[1..17].copy_from_slice(&org.0);
    key[17..].copy_from_slice(&inside);
    Key(key)
}

fn first_half(tag: &[u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&tag[..16]);
    half
}
