//! The daemon: its configuration, how it ends, what is wrong with its host.
//!
//! Puts the layers below together; none of them knows it.

pub mod config;
pub mod doctor;
pub mod exit;
