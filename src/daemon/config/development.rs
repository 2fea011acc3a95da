//! `tokenkeepd --dev DIR`: a vault for development that needs nothing else.
//!
//! What it makes is an ordinary configuration file beside an ordinary root key, so that developers see and may
//! change what production has too. The file is written last: where it stands, the rest was made.
//!
//! Never makes a second root key for a directory that has one: it would be the end of what is sealed there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::error::{ConfigError, Source};
use super::{Config, DEVELOPMENT};
use crate::crypto::key::KeyText;
use crate::os::private_file::{self, PrivateFileError};
use crate::os::user::{self, UserError};

const KEY: &str = "root.key";
/// The configuration, in a directory for development.
pub(super) const FILE: &str = "tokenkeep.toml";
const STATE: &str = "state";

pub(super) fn find_or_make(
    directory: &Path,
    resolve: &dyn Fn(&str) -> Result<u32, UserError>,
) -> Result<Config, ConfigError> {
    private_file::create_directory(directory)?;
    let directory = directory.canonicalize().map_err(|error| io_at(directory, error))?;
    let file = directory.join(FILE);
    if !exists(&file)? {
        make_key(&directory.join(KEY))?;
        let text = text(&directory, user::effective())?;
        private_file::replace(&file, text.as_bytes(), 0o600)?;
    }
    private_file::create_directory(&directory.join(STATE))?;
    let mut config = Config::load(&file, resolve)?;
    if config.environment != DEVELOPMENT {
        let source = Source { file: &file, text: "" };
        let what = "this is not a configuration for development";
        return Err(source.fault_without_place(what, "start it with --config instead of --dev"));
    }
    config.any_provider = true;
    Ok(config)
}

fn make_key(path: &Path) -> Result<(), ConfigError> {
    if exists(path)? {
        return Ok(());
    }
    let key = KeyText::generate();
    let line = Zeroizing::new([key.expose().as_bytes(), b"\n"].concat());
    Ok(private_file::replace(path, &line, 0o600)?)
}

fn text(directory: &Path, uid: u32) -> Result<String, ConfigError> {
    let quoted = |name: &str| match directory.join(name).to_str() {
        Some(path) => Ok(quote(path)),
        None => Err(io_at(directory, io::Error::other("the path is not UTF-8; choose another directory"))),
    };
    Ok(format!(
        "# Made by tokenkeepd --dev, for development on this machine alone.\n\
         # Every setting: docs/configuration.md.\n\
         environment = \"{DEVELOPMENT}\"\n\
         state_directory = {state}\n\
         \n\
         [listen]\n\
         unix = {unix}\n\
         admin = {admin}\n\
         \n\
         [root_key]\n\
         source = \"file\"\n\
         path = {key}\n\
         \n\
         [memory] # a plain user may lock little; in production both are required\n\
         lock = \"preferred\"\n\
         secret_pages = \"preferred\"\n\
         \n\
         [sandbox]\n\
         landlock = \"preferred\"\n\
         \n\
         [[client]]\n\
         name = \"dev\"\n\
         unix = {{ user = {uid} }}\n\
         orgs = [\"*\"]\n\
         providers = [\"*\"]\n\
         allow = [\"*\"]\n",
        state = quoted(STATE)?,
        unix = quoted("tokenkeep.sock")?,
        admin = quoted("admin.sock")?,
        key = quoted(KEY)?,
    ))
}

/// A basic string (toml.io/en/v1.0.0, "String").
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(control))),
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether there is anything at all, a dangling symlink included.
fn exists(path: &Path) -> Result<bool, ConfigError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_at(path, error)),
    }
}

fn io_at(path: &Path, error: io::Error) -> ConfigError {
    ConfigError::File(PrivateFileError::Io(PathBuf::from(path), error))
}
