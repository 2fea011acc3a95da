//! What `doctor` looks at: the facts of this host and this process, judged by [`super::doctor`].

use std::sync::Arc;

use tokenkeep_client::wire::Finding;

use super::config::Config;
use super::doctor::{Checked, findings};
use super::root_keys;
use super::safety::{self, Safety};
use crate::net::server::TlsServer;
use crate::os::host::{Facts, Found};
use crate::room;

/// An examination of the host under this configuration.
#[must_use]
pub(super) fn of(
    config: &Config,
    safety: Safety,
    tls: Option<Arc<TlsServer>>,
) -> Box<dyn Fn() -> Vec<Finding> + Send + Sync> {
    let (connections, listen) = (safety::connections(config), config.listen.clone());
    let state_directory = config.state_directory.clone();
    let root_key_source = root_keys::describe(config);
    Box::new(move || {
        let checked = Checked {
            connections,
            state_directory: Found::at(&state_directory),
            unix_socket: Found::at(&listen.unix),
            admin_socket: Found::at(&listen.admin),
            memory: safety.memory,
            key_pages: room::kind(),
            walls: safety.walls,
            root_key_source: root_key_source.clone(),
            root_key_age: None,
            tls: tls.as_ref().map(|tls| tls.condition()),
        };
        findings(&Facts::gather(&state_directory), &checked)
    })
}
