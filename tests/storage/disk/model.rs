//! What is on the disk, what is only on its way there, and what a sync makes of it.
//!
//! The hard problem: a power cut is not a moment in the order of writes; each block that was not synced is there or not by
//! itself. The answer: a block has what is durable and every version since; a sync that has ended makes durable what was
//! written before it began. Names are durable once their directory was synced, and nothing else makes them so: what
//! ext4 gives beyond that (fsync(2) says that it need not) is not relied upon.
//!
//! Never lets `sync_file_range` count (sync_file_range(2), "Warning").

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use super::record::Event;

pub(crate) const BLOCK: usize = 4096;

/// Content of a block; none is zeros.
pub(crate) type Bytes = Option<Rc<[u8; BLOCK]>>;

pub(crate) type Id = usize;
/// When something happened, in events.
type Moment = usize;

#[derive(Default)]
pub(crate) struct Block {
    pub(crate) durable: Bytes,
    /// Since, the oldest first.
    pub(crate) versions: Vec<(Moment, Bytes)>,
}

impl Block {
    fn latest(&self) -> &Bytes {
        self.versions.last().map_or(&self.durable, |(_, bytes)| bytes)
    }
}

#[derive(Default)]
pub(crate) struct File {
    pub(crate) length: u64,
    pub(crate) lengths: Vec<(Moment, u64)>,
    pub(crate) blocks: BTreeMap<u64, Block>,
    /// Blocks with versions.
    unsynced: BTreeSet<u64>,
}

impl File {
    pub(crate) fn latest_length(&self) -> u64 {
        self.lengths.last().map_or(self.length, |(_, length)| *length)
    }
}

pub(crate) struct Object {
    /// Its last name.
    name: String,
    pub(crate) inode: u64,
    pub(crate) born: u64,
    /// None for a directory.
    pub(crate) file: Option<File>,
}

/// Names by directory.
pub(crate) type Tree = HashMap<Id, BTreeMap<String, Id>>;

/// A change of names.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Add { directory: Id, name: String, object: Id },
    Remove { directory: Id, name: String },
    Rename { from: (Id, String), to: (Id, String), object: Id },
}

impl Change {
    fn concerns(&self, which: Id) -> bool {
        match self {
            Self::Add { directory, .. } | Self::Remove { directory, .. } => *directory == which,
            Self::Rename { from, to, .. } => from.0 == which || to.0 == which,
        }
    }

    pub(crate) fn apply(&self, tree: &mut Tree) {
        match self {
            Self::Add { directory, name, object } => {
                tree.entry(*directory).or_default().insert(name.clone(), *object);
            }
            Self::Remove { directory, name } => drop(tree.entry(*directory).or_default().remove(name)),
            Self::Rename { from, to, object } => {
                let source = tree.entry(from.0).or_default();
                if source.get(&from.1) == Some(object) {
                    source.remove(&from.1);
                }
                tree.entry(to.0).or_default().insert(to.1.clone(), *object);
            }
        }
    }
}

/// Syncs that do nothing, as if the daemon had left them out: so that the test is seen to find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deaf {
    /// Those of directories.
    Directories,
    /// Those of files with this at the end of their names, once the vault is made.
    Files(&'static str),
}

/// A disk at a moment.
pub(crate) struct Disk {
    deaf: Option<Deaf>,
    syncs: u64,
    pub(crate) objects: Vec<Object>,
    inodes: HashMap<u64, Id>,
    pub(crate) durable: Tree,
    pub(crate) latest: Tree,
    /// Changes of names that are not durable, the oldest first.
    pub(crate) changes: Vec<(Moment, Change)>,
    /// Syncs that have begun.
    turns: HashMap<u64, (Moment, u64)>,
    now: Moment,
}

pub(crate) const ROOT: Id = 0;

/// Syncs of a file in which it is made and first filled.
const FOUNDING: u64 = 8;

impl Disk {
    /// An empty directory with this inode.
    pub(crate) fn new(root: u64, deaf: Option<Deaf>) -> Self {
        let mut disk = Self {
            deaf,
            syncs: 0,
            objects: Vec::new(),
            inodes: HashMap::new(),
            durable: Tree::new(),
            latest: Tree::new(),
            changes: Vec::new(),
            turns: HashMap::new(),
            now: 0,
        };
        disk.add(root, 0, "", true);
        disk
    }

    fn add(&mut self, inode: u64, born: u64, name: &str, is_directory: bool) -> Id {
        let file = (!is_directory).then(File::default);
        self.objects.push(Object { name: name.to_owned(), inode, born, file });
        self.inodes.insert(inode, self.objects.len() - 1);
        self.objects.len() - 1
    }

    fn file(&mut self, inode: u64) -> &mut File {
        let id = self.inodes[&inode];
        self.objects[id].file.as_mut().expect("a file")
    }

    /// Something happens.
    pub(crate) fn take(&mut self, event: Event<'_>) {
        self.now += 1;
        match event {
            Event::Mark(..) => {}
            Event::Written { inode, at, bytes } => self.write(inode, at, bytes),
            Event::Zeroed { inode, at, length } => {
                let zeros = vec![0; usize::try_from(length).unwrap()];
                self.write(inode, at, &zeros);
            }
            Event::Length { inode, length } => self.set_length(inode, length),
            Event::Created { parent, name, inode, born, is_directory } => {
                let (object, directory) = (self.add(inode, born, name, is_directory), self.inodes[&parent]);
                self.rename(Change::Add { directory, name: name.to_owned(), object });
            }
            Event::Removed { parent, name } => {
                self.rename(Change::Remove { directory: self.inodes[&parent], name: name.to_owned() });
            }
            Event::Renamed { from, to } => {
                let (source, target) = (self.inodes[&from.0], self.inodes[&to.0]);
                let object = self.latest[&source][from.1];
                to.1.clone_into(&mut self.objects[object].name);
                let (from, to) = ((source, from.1.to_owned()), (target, to.1.to_owned()));
                self.rename(Change::Rename { from, to, object });
            }
            Event::SyncBegins { inode, turn } => drop(self.turns.insert(turn, (self.now, inode))),
            Event::SyncEnds { turn } => {
                let (since, inode) = self.turns.remove(&turn).expect("it has begun");
                self.sync(self.inodes[&inode], since);
            }
        }
    }

    fn rename(&mut self, change: Change) {
        change.apply(&mut self.latest);
        self.changes.push((self.now, change));
    }

    fn write(&mut self, inode: u64, at: u64, bytes: &[u8]) {
        let now = self.now;
        let file = self.file(inode);
        let (mut at, mut rest) = (at, bytes);
        while !rest.is_empty() {
            let (number, offset) = (at / BLOCK as u64, (at % BLOCK as u64) as usize);
            let part = rest.len().min(BLOCK - offset);
            let block = file.blocks.entry(number).or_default();
            let mut next = block.latest().as_deref().copied().unwrap_or([0; BLOCK]);
            next[offset..offset + part].copy_from_slice(&rest[..part]);
            block.versions.push((now, (next != [0; BLOCK]).then(|| Rc::new(next))));
            file.unsynced.insert(number);
            at += part as u64;
            rest = &rest[part..];
        }
        if at > file.latest_length() {
            file.lengths.push((now, at));
        }
    }

    fn set_length(&mut self, inode: u64, length: u64) {
        let now = self.now;
        let file = self.file(inode);
        let old = file.latest_length();
        if length < old {
            let blocks: Vec<u64> =
                file.blocks.range(length / BLOCK as u64..).map(|(number, _)| *number).collect();
            for number in blocks {
                let kept = length.saturating_sub(number * BLOCK as u64) as usize;
                let block = file.blocks.get_mut(&number).unwrap();
                let Some(latest) = block.latest().as_deref() else { continue };
                let mut next = *latest;
                if kept < BLOCK {
                    next[kept..].fill(0);
                }
                block.versions.push((now, (next != [0; BLOCK]).then(|| Rc::new(next))));
                file.unsynced.insert(number);
            }
        }
        if length != old {
            file.lengths.push((now, length));
        }
    }

    /// Whether a sync of this is one that does nothing.
    fn ignores(&mut self, id: Id) -> bool {
        let object = &self.objects[id];
        match self.deaf {
            None => false,
            Some(Deaf::Directories) => object.file.is_none(),
            Some(Deaf::Files(suffix)) => {
                let meant = object.name.ends_with(suffix);
                self.syncs += u64::from(meant);
                meant && self.syncs > FOUNDING
            }
        }
    }

    fn sync(&mut self, id: Id, since: Moment) {
        if self.ignores(id) {
            return;
        }
        if let Some(file) = &mut self.objects[id].file {
            for number in std::mem::take(&mut file.unsynced) {
                let block = file.blocks.get_mut(&number).expect("written");
                settle(&mut block.durable, &mut block.versions, since);
                if !block.versions.is_empty() {
                    file.unsynced.insert(number);
                }
            }
            return settle(&mut file.length, &mut file.lengths, since);
        }
        let changes = std::mem::take(&mut self.changes).into_iter();
        let (durable, open): (Vec<_>, Vec<_>) =
            changes.partition(|(at, change)| *at < since && change.concerns(id));
        self.changes = open;
        durable.iter().for_each(|(_, change)| change.apply(&mut self.durable));
    }
}

/// The newest version from before `since` is durable.
fn settle<T>(durable: &mut T, versions: &mut Vec<(Moment, T)>, since: Moment) {
    let open = versions.iter().position(|(at, _)| *at >= since).unwrap_or(versions.len());
    if let Some((_, newest)) = versions.drain(..open).next_back() {
        *durable = newest;
    }
}
