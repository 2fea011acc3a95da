//! An attacker who has the state directory and every key, and uses the program's own library: so that all
//! checksums, chains and digests hold, and only the seals stand in the way.

use std::path::Path;
use std::sync::Arc;

use tokenkeep::audit;
use tokenkeep::clock::SystemClock;
use tokenkeep::crypto::key::KeyId;
use tokenkeep::crypto::key_list::RootKeys;
use tokenkeep::crypto::seal::open;
use tokenkeep::domain::action::Action;
use tokenkeep::domain::principal::{Principal, Proof};
use tokenkeep::store::embedded::{EmbeddedStore, Options};
use tokenkeep::store::{Batch, Change, Key, Store, Witness};
use tokenkeep::vault::header::Header;
use tokenkeep::vault::place::{Blind, Field, Table, org_key, org_prefix, place};
use tokenkeep::vault::record::{RecordView, RecordWriter};
use tokenkeep_client::ids::{ConnectionId, OrgId};

use crate::kit::TestVault;

pub(crate) struct Attacker {
    store: EmbeddedStore,
    blind: Blind,
    vault_id: [u8; 16],
    log: Arc<audit::Log>,
}

/// An org and a name in it.
pub(crate) type Place<'a> = (&'a str, &'a str);

impl Attacker {
    pub(crate) fn enter(vault: &TestVault) -> Self {
        Self::open(vault.state(), vault.root_key().as_bytes())
    }

    fn open(state: &Path, root_key: &[u8]) -> Self {
        let root = RootKeys::parse(root_key).unwrap();
        let (header, keys) = Header::open(state, "development", &root).unwrap().unwrap();
        let clock = Arc::new(SystemClock);
        let (log, found) = audit::Log::open(audit::Options {
            directory: state.join("audit"),
            vault: header.vault_id,
            key: keys.audit,
            sync: audit::Sync::DEFAULT,
            clock: clock.clone(),
        })
        .unwrap();
        let log = Arc::new(log);
        let witness: Arc<dyn Witness> = log.clone();
        let directory = state.to_owned();
        let options = Options::new(directory, header.vault_id, keys.journal, witness, found.journal, clock);
        let (store, _) = EmbeddedStore::open(options).unwrap();
        Self { store, blind: Blind::new(keys.index), vault_id: header.vault_id, log }
    }

    fn connection(&self, (org, name): Place<'_>) -> Key {
        let id = ConnectionId { provider: "github".parse().unwrap(), name: name.parse().unwrap() };
        self.blind.connection(self.blind.org(&OrgId::parse(org).unwrap()), &id)
    }

    /// A record with the change that wrote it.
    pub(super) fn revised(&self, place: Place<'_>) -> (u64, Vec<u8>) {
        let record = self.store.read(&self.connection(place)).unwrap().expect("there is such a record");
        (record.revision, record.value.to_vec())
    }

    fn value(&self, key: &Key) -> Vec<u8> {
        self.store.read(key).unwrap().expect("there is such a record").value.to_vec()
    }

    fn write(&self, records: Vec<(Key, Vec<u8>)>) {
        let changes = records.into_iter().map(|(key, value)| Change::Put(key, value)).collect();
        let batch = Batch { changes, note: b"nobody asked".to_vec(), ..Batch::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.store.commit(batch)).unwrap();
    }

    /// Two changes, of which the later one alone is in the audit log: what a crash leaves when it comes after
    /// that entry and before the other. Gives the journal's sequence of the first.
    pub(crate) fn change_twice_and_record_the_second(&self, place: Place<'_>) -> u64 {
        let (key, value) = (self.connection(place), self.read(place));
        let change = |note: &[u8]| {
            let changes = vec![Change::Put(key, value.clone())];
            self.store.commit(Batch { changes, note: note.to_vec(), ..Batch::default() })
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let first = runtime.block_on(change(b"first")).unwrap();
        let second = runtime.block_on(change(b"second")).unwrap();
        let entry = audit::entry::Entry {
            request_id: "0123456789abcdef",
            who: &audit::entry::Who::of(&Principal { name: "app".to_owned(), proof: Proof::Internal }),
            action: Action::ConnectionWrite,
            org: Some(place.0),
            target: None,
            decision: audit::entry::Decision::Allow,
            outcome: "ok",
            reason: None,
            pass: None,
            generation: None,
            journal: Some(second),
        };
        runtime.block_on(self.log.append_durable(&entry)).unwrap();
        first.sequence
    }

    fn swap(&self, one: Key, other: Key) {
        assert_ne!(one, other);
        self.write(vec![(one, self.value(&other)), (other, self.value(&one))]);
    }

    pub(super) fn read(&self, place: Place<'_>) -> Vec<u8> {
        self.value(&self.connection(place))
    }

    /// Every sealed value of an org that lies under the org's key, as the texts that they are.
    pub(super) fn sealed_of(&self, org: &str) -> Vec<String> {
        let org = self.blind.org(&OrgId::parse(org).unwrap());
        let mut sealed = Vec::new();
        for table in [Table::Org, Table::Connection, Table::Secret, Table::SecretVersion] {
            for (_, record) in self.store.scan(&org_prefix(table, org), None, 1000).unwrap() {
                let view = RecordView::parse(&record.value).unwrap();
                let sections = view.sections().filter(|section| section.field != Field::OrgKey as u8);
                sealed.extend(
                    sections
                        .map(|section| String::from_utf8(section.token.dangerous_bytes().to_vec()).unwrap()),
                );
            }
        }
        sealed
    }

    /// The key of an org, unwrapped.
    pub(super) fn org_key(&self, org: &str, root_key: &[u8]) -> String {
        let (root, key) =
            (RootKeys::parse(root_key).unwrap(), org_key(self.blind.org(&OrgId::parse(org).unwrap())));
        let record = self.value(&key);
        let sealed = RecordView::parse(&record).unwrap().section(Field::OrgKey).unwrap();
        let place = place(self.vault_id, &key, Field::OrgKey);
        let opened = open(root.primary(), &place, sealed.token.dangerous_bytes()).unwrap();
        String::from_utf8(opened.expose().to_vec()).unwrap()
    }

    /// What stands inside a seal, for this place.
    pub(super) fn frame_for(&self, at: Place<'_>, field: Field, value: &[u8]) -> Vec<u8> {
        let place = place(self.vault_id, &self.connection(at), field);
        let head =
            [&[1][..], &place.vault, &[place.table], &place.record, &[place.field], &1_u64.to_be_bytes()];
        [&head.concat(), value].concat()
    }

    pub(super) fn plant_access_token(&self, at: Place<'_>, token: &[u8]) {
        let record = self.read(at);
        let planted =
            rebuilt(&record, |own| if own.0 == Field::AccessToken { (own.0, own.1, token) } else { own });
        assert_ne!(planted, record);
        self.write(vec![(self.connection(at), planted)]);
    }

    pub(super) fn swap_records(&self, one: Place<'_>, other: Place<'_>) {
        self.swap(self.connection(one), self.connection(other));
    }

    pub(super) fn swap_orgs(&self, one: &str, other: &str) {
        let key = |org: &str| org_key(self.blind.org(&OrgId::parse(org).unwrap()));
        self.swap(key(one), key(other));
    }

    pub(super) fn swap_secret_values(&self, one: Place<'_>, other: Place<'_>) {
        let key = |(org, name): Place<'_>| {
            let org = self.blind.org(&OrgId::parse(org).unwrap());
            self.blind.secret_version(org, &name.parse().unwrap(), 1)
        };
        self.swap(key(one), key(other));
    }

    pub(super) fn copy_record_under_the_key_id_of(&self, from: Place<'_>, to: Place<'_>) {
        let (from, to) = (self.read(from), (self.connection(to), self.read(to)));
        let own = RecordView::parse(&to.1).unwrap().section(Field::AccessToken).unwrap().key_id;
        self.write(vec![(to.0, rebuilt(&from, |section| (section.0, own, section.2)))]);
    }

    pub(super) fn swap_fields(&self, place: Place<'_>) {
        let record = self.read(place);
        let swapped = rebuilt(&record, |(field, key_id, token)| {
            let field = match field {
                Field::AccessToken => Field::RefreshToken,
                Field::RefreshToken => Field::AccessToken,
                other => other,
            };
            (field, key_id, token)
        });
        assert_ne!(swapped, record);
        self.write(vec![(self.connection(place), swapped)]);
    }

    pub(super) fn swap_access_tokens(&self, one: Place<'_>, other: Place<'_>) {
        let (first, second) = (self.read(one), self.read(other));
        let changed = vec![
            (self.connection(one), with_access_token_of(&first, &second)),
            (self.connection(other), with_access_token_of(&second, &first)),
        ];
        self.write(changed);
    }

    pub(super) fn put_back_access_token(&self, place: Place<'_>, old: &[u8]) {
        let current = self.read(place);
        assert!(
            RecordView::parse(&current).unwrap().generation() > RecordView::parse(old).unwrap().generation()
        );
        self.write(vec![(self.connection(place), with_access_token_of(&current, old))]);
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.store.close();
        self.log.close();
    }
}

type Section<'a> = (Field, KeyId, &'a [u8]);

/// The record with each section as `change` has it.
fn rebuilt<'a>(record: &'a [u8], change: impl Fn(Section<'a>) -> Section<'a>) -> Vec<u8> {
    let view = RecordView::parse(record).unwrap();
    view.sections()
        .fold(RecordWriter::new(view.generation()), |writer, section| {
            let token = section.token.dangerous_bytes();
            let (field, key_id, token) = change((field(section.field), section.key_id, token));
            writer.dangerous_section(field, key_id, token)
        })
        .finish()
}

fn with_access_token_of(record: &[u8], other: &[u8]) -> Vec<u8> {
    let theirs = RecordView::parse(other).unwrap().section(Field::AccessToken).unwrap();
    rebuilt(record, |own| {
        if own.0 == Field::AccessToken { (own.0, theirs.key_id, theirs.token.dangerous_bytes()) } else { own }
    })
}

fn field(number: u8) -> Field {
    let all = [
        Field::Metadata,
        Field::AccessToken,
        Field::RefreshToken,
        Field::PreviousRefreshToken,
        Field::IdToken,
    ];
    all.into_iter().find(|field| *field as u8 == number).expect("a field of a connection")
}
