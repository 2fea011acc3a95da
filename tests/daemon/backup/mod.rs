//! Backups and the way back: a live vault, its backups, the original gone, and what a person then gets back.
//!
//! Never a look into the program: what counts is what the restored daemon serves.

mod bucket;
mod directory;
mod drill;
mod keys;
mod kit;
mod recipe;
mod recovered;
