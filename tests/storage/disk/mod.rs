//! A disk whose power can be cut: what the daemon did to its files, recorded, and what may be left of it.
//!
//! Never asks the daemon what it did: a library below it writes that down (recorder.c).

pub(crate) mod cut;
pub(crate) mod faults;
pub(crate) mod model;
pub(crate) mod record;

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles the recorder into this directory.
pub(crate) fn recorder(directory: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/storage/disk/recorder.c");
    let library = directory.join("recorder.so");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let done = Command::new(compiler)
        .args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    assert!(done.expect("a C compiler").success());
    library
}
