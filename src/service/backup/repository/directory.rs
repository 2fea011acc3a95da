//! Backups in a directory: a mounted disk of another machine, most likely.
//!
//! The hard problem: a mount that is not there leaves an empty directory in its place, on the very disk that is to be
//! outlived. It cannot be told from here; so the directory is never made, and one on the file system of the state is said
//! by `doctor`.
//!
//! Never writes an object under its own name before it is whole and on the disk.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{Repository, RepositoryError, Stored};
use crate::os::durable;

/// What an object is called while it is written; no reader takes it for one.
const UNDERWAY: &str = ".underway";

/// A directory that is there.
#[derive(Debug, Clone)]
pub struct Directory(PathBuf);

impl Directory {
    /// This one. It is not made: see above.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Makes what is missing below the directory, and never the directory itself.
    fn make(&self, folder: &Path) -> io::Result<()> {
        let below: Vec<&Path> = folder.ancestors().take_while(|above| *above != self.0).collect();
        below.into_iter().rev().try_for_each(|folder| match DirBuilder::new().mode(0o700).create(folder) {
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        })
    }

    fn write(&self, path: &Path, content: &File, bytes: u64) -> io::Result<()> {
        let folder = path.parent().unwrap_or(&self.0);
        self.make(folder)?;
        let mut underway = path.as_os_str().to_owned();
        underway.push(UNDERWAY);
        let underway = PathBuf::from(underway);
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&underway)?;
        let mut content = content.try_clone()?;
        content.seek(SeekFrom::Start(0))?;
        let copied = io::copy(&mut content.take(bytes), &mut file)?;
        if copied != bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.sync_all()?;
        // A link, unlike a rename, takes nobody's place.
        let linked = fs::hard_link(&underway, path).or_else(|why| match why.kind() {
            // Not every file system that is mounted from elsewhere has links.
            io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied if !path.exists() => {
                fs::rename(&underway, path)
            }
            _ => Err(why),
        });
        drop(fs::remove_file(&underway));
        linked?;
        let mut above = folder.ancestors().take_while(|above| above.starts_with(&self.0));
        above.try_for_each(durable::sync_directory)?;
        durable::prove(&file)
    }
}

impl Repository for Directory {
    fn folders(&self, below: &str) -> Result<Vec<String>, RepositoryError> {
        names(&self.path(below), |entry| Ok(entry.file_type()?.is_dir()))
    }

    fn objects(&self, folder: &str) -> Result<Vec<Stored>, RepositoryError> {
        let path = self.path(folder);
        let names = names(&path, |entry| Ok(entry.file_type()?.is_file()))?;
        let objects = names.into_iter().filter(|name| !name.ends_with(UNDERWAY));
        let measured = objects.map(|name| {
            let file = path.join(&name);
            let metadata = fs::metadata(&file).map_err(|why| of_io(&file, &why))?;
            Ok(Stored { name, bytes: metadata.len() })
        });
        measured.collect()
    }

    fn put(&self, name: &str, content: &File, bytes: u64) -> Result<(), RepositoryError> {
        let path = self.path(name);
        self.write(&path, content, bytes).map_err(|why| match why.kind() {
            io::ErrorKind::AlreadyExists => RepositoryError::AlreadyThere(path.display().to_string()),
            io::ErrorKind::NotFound => RepositoryError::Unavailable(format!(
                "{} is not there; see that it is mounted, or make it",
                self.0.display()
            )),
            _ => of_io(&path, &why),
        })
    }

    fn read(&self, name: &str, at: u64, most: usize) -> Result<Vec<u8>, RepositoryError> {
        let path = self.path(name);
        let read = || {
            let file = File::open(&path)?;
            let left = file.metadata()?.len().saturating_sub(at);
            let mut bytes = vec![0; usize::try_from(left).unwrap_or(most).min(most)];
            file.read_exact_at(&mut bytes, at)?;
            Ok(bytes)
        };
        read().map_err(|why: io::Error| of_io(&path, &why))
    }

    fn remove(&self, name: &str) -> Result<(), RepositoryError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(of_io(&path, &why)),
            _ => Ok(()),
        }
    }

    fn remove_folder(&self, name: &str) -> Result<(), RepositoryError> {
        let path = self.path(name);
        // What was underway when a daemon died is nobody's.
        for left in names(&path, |entry| Ok(entry.file_type()?.is_file()))? {
            if left.ends_with(UNDERWAY) {
                drop(fs::remove_file(path.join(left)));
            }
        }
        match fs::remove_dir(&path) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(of_io(&path, &why)),
            _ => Ok(()),
        }
    }

    fn describe(&self) -> String {
        format!("directory {}", self.0.display())
    }
}

fn names(
    path: &Path,
    is_one: impl Fn(&fs::DirEntry) -> io::Result<bool>,
) -> Result<Vec<String>, RepositoryError> {
    let list = || {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if is_one(&entry)? {
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort_unstable();
        Ok(names)
    };
    match list() {
        Err(why) if io::Error::kind(&why) == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(|why| of_io(path, &why)),
    }
}

fn of_io(path: &Path, why: &io::Error) -> RepositoryError {
    let said = format!("{}: {}", path.display(), why);
    match why.kind() {
        io::ErrorKind::NotFound => RepositoryError::Absent(path.display().to_string()),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            RepositoryError::Refused(format!("{said}; see that the daemon's user may write there"))
        }
        _ => RepositoryError::Unavailable(said),
    }
}
