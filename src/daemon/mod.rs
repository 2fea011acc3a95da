//! The daemon: its configuration, how it boots, runs and ends, what is wrong with its host.
//!
//! Puts the layers below together; none of them knows it.

mod alerts;
mod application_keys;
mod boot;
pub mod command_line;
pub mod config;
pub mod doctor;
mod examination;
pub mod exit;
mod failure;
mod logging;
mod mtls;
mod progress;
mod providers;
mod reload;
mod root_keys;
pub mod run;
mod safety;
pub mod sandbox;
mod signals;
mod sockets;
mod watchdog;
