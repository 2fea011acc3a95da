//! What a part of a backup holds: clear, so that a backup is listed, kept and removed without a key that opens it, and
//! with a tag, so that nobody else's passes for one (docs/backup.md).
//!
//! ```text
//! {"format":1, FIELDS, "mac":"64 hex"}
//! |<---- authenticated --->|
//! ```
//!
//! Each says the tag of the one before it in its set: one that is gone from the middle is missed.
//!
//! Never a name of an org, and nothing that is sealed elsewhere.

use serde::{Deserialize, Serialize};
use tokenkeep_client::moment::Moment;
use tokenkeep_client::wire::to_body;

use crate::chain::Mark;
use crate::crypto::hex;
use crate::crypto::mac::MacKey;
use crate::store::index::tally::Tally;

/// The one that this program writes, and the newest it reads. Of format 1, `root_keys` are those of the moment alone, and
/// nothing is said of org keys.
pub const FORMAT: u32 = 2;

/// What a manifest is called in its set.
const NAME: &str = "part-";
const ENDING: &str = ".json";

/// Longest that one may be: a part has a handful of objects, the first one as many as there are files.
pub const LONGEST: usize = 4 << 20;

const TAG: &[u8] = b",\"mac\":\"";

/// What a part holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// 1 or 2.
    pub format: u32,
    /// Of which vault, in hex.
    pub vault_id: String,
    /// Of which environment.
    pub environment: String,
    /// Of which life of the vault: it is another one after a restore.
    pub incarnation: u64,
    /// The set that it belongs to.
    pub set: String,
    /// Counts from 1 in the set.
    pub part: u64,
    /// When it was begun: what was acknowledged before is in it.
    pub made_at: Moment,
    /// The tag of the part before; empty in the first.
    pub before: String,
    /// How far the journal is in the set.
    pub journal: Journal,
    /// How far the audit log is in the set.
    pub audit: Place,
    /// Whose keys open the objects.
    pub recipients: Vec<String>,
    /// The ids of the root keys that the set needs, up to this part.
    pub root_keys: Vec<String>,
    /// Of the first part: how many records were under each org key, sealed for the vault alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org_keys: Option<String>,
    /// What it adds to the set.
    pub objects: Vec<Object>,
}

/// A position in a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Its number.
    pub sequence: u64,
    /// Its chain value, in hex.
    pub chain: String,
}

/// A position in the journal, and the state of the store there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// Of the last record in the set.
    pub sequence: u64,
    /// Its chain value, in hex.
    pub chain: String,
    /// When it was written, in microseconds since 1970.
    pub written_at: u64,
    /// Records in the store after it.
    pub records: u64,
    /// Their digest, in hex.
    pub digest: String,
}

/// One sealed object, beside the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// Its name in the set.
    pub name: String,
    /// What it is part of.
    pub holds: Holds,
    /// The file that it is part of.
    pub file: String,
    /// From which byte of that file on.
    pub from: u64,
    /// How many bytes of it.
    pub bytes: u64,
    /// How long the object itself is.
    pub sealed_bytes: u64,
    /// Its SHA-256, in hex.
    pub sha256: String,
}

/// What an object is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// The audit log.
    Audit,
    /// `vault.json`.
    Header,
    /// The journal.
    Journal,
    /// A snapshot of the store.
    Snapshot,
}

/// A manifest as it was read, with its tag.
#[derive(Debug, Clone)]
pub struct Tagged {
    /// What it says.
    pub manifest: Manifest,
    signed: Vec<u8>,
    mac: [u8; 32],
}

impl From<Mark> for Place {
    fn from(mark: Mark) -> Self {
        Self { sequence: mark.sequence, chain: hex::encode(&mark.chain) }
    }
}

impl Place {
    /// As a mark; none where it is not one.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        Some(Mark { sequence: self.sequence, chain: hex::decode(self.chain.as_bytes())? })
    }
}

impl Journal {
    /// There.
    #[must_use]
    pub fn new(mark: &Mark, written_at: u64, tally: &Tally) -> Self {
        Self {
            sequence: mark.sequence,
            chain: hex::encode(&mark.chain),
            written_at,
            records: tally.records,
            digest: format!("{:032x}", tally.digest),
        }
    }

    /// As a mark; none where it is not one.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        Some(Mark { sequence: self.sequence, chain: hex::decode(self.chain.as_bytes())? })
    }
}

/// The name of a part's manifest.
#[must_use]
pub fn name(part: u64) -> String {
    format!("{NAME}{part:08}{ENDING}")
}

/// The part whose manifest has this name.
#[must_use]
pub fn part_in_name(name: &str) -> Option<u64> {
    name.strip_prefix(NAME)?.strip_suffix(ENDING).filter(|digits| digits.len() == 8)?.parse().ok()
}

impl Manifest {
    /// How many bytes its objects take.
    #[must_use]
    pub fn sealed_bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.sealed_bytes).sum()
    }

    /// Its text with its tag, and the tag.
    #[must_use]
    pub fn encode(&self, key: &MacKey) -> (Vec<u8>, String) {
        let mut text = to_body(self).to_vec();
        // The brace that ends it comes after the tag.
        text.pop();
        let mac = hex::encode(&key.tag(&[&text]));
        text.extend_from_slice(TAG);
        text.extend_from_slice(mac.as_bytes());
        text.extend_from_slice(b"\"}\n");
        (text, mac)
    }
}

impl Tagged {
    /// Reads one; none where it is none of this format.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let line = text.strip_suffix(b"\"}\n")?;
        let (rest, mac) = line.split_at_checked(line.len().checked_sub(64)?)?;
        let signed = rest.strip_suffix(TAG)?.to_vec();
        let manifest: Manifest = serde_json::from_slice(&[&signed[..], b"}"].concat()).ok()?;
        (1..=FORMAT).contains(&manifest.format).then_some(())?;
        Some(Self { manifest, signed, mac: hex::decode(mac)? })
    }

    /// Whether whoever has the key wrote it.
    #[must_use]
    pub fn is_genuine(&self, key: &MacKey) -> bool {
        key.verifies(&[&self.signed], &self.mac)
    }

    /// What the next one says is before it.
    #[must_use]
    pub fn tag(&self) -> String {
        hex::encode(&self.mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_its_writer_s_or_nobody_s() {
        let key = MacKey::new(&[1; 32]);
        let manifest = Manifest {
            format: FORMAT,
            vault_id: "00".repeat(16),
            environment: "test".into(),
            incarnation: 1,
            set: "a".into(),
            part: 1,
            made_at: Moment::from_unix(0).unwrap(),
            before: String::new(),
            journal: Journal::new(&Mark::START, 0, &Tally { records: 2, digest: 3 }),
            audit: Mark::START.into(),
            recipients: vec!["age1".into()],
            root_keys: Vec::new(),
            org_keys: None,
            objects: Vec::new(),
        };
        let (text, tag) = manifest.encode(&key);
        serde_json::from_slice::<serde_json::Value>(&text).unwrap();
        let read = Tagged::parse(&text).unwrap();
        assert_eq!(read.manifest, manifest);
        assert_eq!(read.tag(), tag);
        assert!(read.is_genuine(&key) && !read.is_genuine(&MacKey::new(&[2; 32])));
        let forged = String::from_utf8(text).unwrap().replace("\"part\":1", "\"part\":2");
        assert!(!Tagged::parse(forged.as_bytes()).unwrap().is_genuine(&key));
        assert!(Tagged::parse(b"{}\n").is_none() && Tagged::parse(b"").is_none());
    }

    #[test]
    fn a_part_is_found_by_its_name() {
        assert_eq!(part_in_name(&name(41)), Some(41));
        assert_eq!(part_in_name("part-41.json"), None);
        assert_eq!(part_in_name("00000041-journal.age"), None);
    }
}
