//! The daemon without a network: `tokenkeep-egress` connects for it, to what the configuration names and nowhere else.
//!
//! Both are the real programs. What needs a network of its own (names that lead elsewhere, a daemon without any) runs as
//! root alone, in network namespaces.

mod key;
mod names;
mod refused;
mod way_out;

pub(crate) use way_out::WayOut;
