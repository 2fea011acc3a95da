//! Formats on the disk: what is read is written again, byte for byte.
//!
//! A fuzzer does not guess a checksum: where one stands in the way, it is made to hold and the input is tried again.
//!
//! Never takes two texts for one meaning.

use tokenkeep::audit::line;
use tokenkeep::crypto::key::SealingKey;
use tokenkeep::crypto::seal::{Place, SealError, open, seal};
use tokenkeep::store::journal::record;
use tokenkeep::vault::place::Field;
use tokenkeep::vault::record::{RecordView, RecordWriter};

use crate::KEY;

/// A sealed value opens in its own place as what it was; elsewhere, changed or cut off, not at all.
pub fn frame(data: &[u8]) {
    let Some((head, value)) = data.split_first_chunk::<60>() else { return };
    let key = SealingKey::parse(KEY.as_bytes()).expect("a key");
    let mut place = Place { vault: [0; 16], table: head[0], record: [0; 32], field: head[1] };
    place.vault.copy_from_slice(&head[2..18]);
    place.record.copy_from_slice(&head[18..50]);
    let generation = u64::from_be_bytes(head[50..58].try_into().expect("eight bytes"));
    let sealed = seal(&key, &place, generation, value);
    let opened = open(&key, &place, sealed.as_bytes()).expect("opens in its place");
    assert_eq!((opened.generation(), opened.expose()), (generation, value));

    let (at, bit) = (usize::from(head[58]), 1 << (head[59] % 8));
    let mut elsewhere = place;
    match at % 50 {
        0 => elsewhere.table ^= bit,
        1 => elsewhere.field ^= bit,
        at @ 2..18 => elsewhere.vault[at - 2] ^= bit,
        at => elsewhere.record[at - 18] ^= bit,
    }
    assert_eq!(open(&key, &elsewhere, sealed.as_bytes()).err(), Some(SealError::Misplaced));

    let at = at * 31 % sealed.len();
    let mut changed = sealed.clone().into_bytes();
    changed[at] ^= bit;
    assert_eq!(open(&key, &place, &changed).err(), Some(SealError::Shut));
    assert_eq!(open(&key, &place, &sealed.as_bytes()[..at]).err(), Some(SealError::Shut));
    // Nobody without the key makes a token: whatever stands there by itself stays shut.
    assert_eq!(open(&key, &place, data).err(), Some(SealError::Shut));
}

/// A record of the vault is its sections and nothing else.
pub fn vault_record(data: &[u8]) {
    let Some(view) = RecordView::parse(data) else { return };
    let mut writer = RecordWriter::new(view.generation());
    for section in view.sections() {
        let Some(field) = field(section.field) else { return };
        let first = view.section(field).expect("it is there");
        assert_eq!(first.field, section.field);
        writer = writer.copied(&section);
    }
    assert_eq!(writer.finish(), data);
}

fn field(number: u8) -> Option<Field> {
    let all = [
        Field::SystemKey,
        Field::IndexKey,
        Field::JournalKey,
        Field::AuditKey,
        Field::OrgKey,
        Field::Metadata,
        Field::AccessToken,
        Field::RefreshToken,
        Field::PreviousRefreshToken,
        Field::IdToken,
        Field::Value,
        Field::Note,
    ];
    all.into_iter().find(|field| *field as u8 == number)
}

/// A journal record says one thing in one way; also where its length and its checksum are made to hold.
pub fn journal_record(data: &[u8]) {
    again(data);
    if (8..record::MOST).contains(&data.len()) {
        let mut mended = data.to_vec();
        let end = mended.len() - 4;
        mended[..4].copy_from_slice(&u32::try_from(data.len()).expect("below the most").to_le_bytes());
        let checksum = crc32c::crc32c(&mended[..end]).to_le_bytes();
        mended[end..].copy_from_slice(&checksum);
        again(&mended);
    }
}

fn again(bytes: &[u8]) {
    if let Ok(decoded) = record::decode(bytes) {
        assert!(decoded.length <= bytes.len() && decoded.covered.len() < decoded.length);
        let mut written = Vec::new();
        record::encode(&decoded.entry, |_| decoded.mac, &mut written);
        assert_eq!(written, &bytes[..decoded.length]);
    }
}

/// A line of the audit log has one form; also where its fields are right and the rest is put around them.
pub fn audit_line(data: &[u8]) {
    let framed = [b"{\"seq\":7,\"at\":\"2026-11-21T18:00:00.000000Z\"", data, MAC].concat();
    for line in [data, &framed] {
        if let Ok(read) = line::decode(line) {
            let written = read.encode();
            assert_eq!(written, line);
            assert!(!written.contains(&b'\n'));
            assert_eq!(line::decode(&written), Ok(read));
        }
    }
}

const MAC: &[u8] = b",\"mac\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}";
