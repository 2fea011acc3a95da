//! The root key from secret managers: the real daemon, real servers, and each failure with its own code and line.
//!
//! `TOKENKEEP_TEST_PYTHON` is a Python that has the servers (`make unit` installs it); without it these tests are not
//! run where `python3` lacks them, and say so.

pub(crate) mod aws;
pub(crate) mod openbao;
pub(crate) mod server;
pub(crate) mod tls;

use std::fs;

use crate::kit::vault::write_private;
use crate::kit::{Configuration, TestVault};

/// A vault whose `[root_key]` is these lines, with nothing of AWS or of a proxy in its environment but these.
pub(crate) fn vault_from(root_key: &str, variables: &[(&str, &str)]) -> TestVault {
    let mut vault = TestVault::stopped(Configuration::default());
    // What the kit wrote is not where these keys come from.
    fs::remove_file(vault.root_key_file()).expect("remove");
    reconfigure(&mut vault, root_key, variables);
    vault
}

pub(crate) fn reconfigure(vault: &mut TestVault, root_key: &str, variables: &[(&str, &str)]) {
    vault.write_configuration();
    let text = fs::read_to_string(vault.configuration_file()).expect("readable");
    let (before, rest) = text.split_once("[root_key]\n").expect("a root key");
    let (_, after) = rest.split_once("\n\n").expect("a next table");
    let text = format!("{before}[root_key]\n{root_key}\n\n{after}");
    write_private(&vault.configuration_file(), text.as_bytes());
    // A proxy that nobody runs: whoever asked it would fail.
    let mut all = vec![("https_proxy", "http://127.0.0.1:9"), ("http_proxy", "http://127.0.0.1:9")];
    all.extend([("HOME", "/nonexistent"), ("AWS_EC2_METADATA_DISABLED", "true")]);
    all.extend(variables);
    vault.dowry.variables = all.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
}
