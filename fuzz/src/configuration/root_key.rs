//! `[root_key]` of secret managers, written again.
//!
//! Never leaves out what was said.

use std::fmt::Display;

use tokenkeep::crypto::root_key::aws;
use tokenkeep::crypto::root_key::openbao::{self, Identity, Wrapping};
use tokenkeep::net::outbound::Roots;
use tokenkeep::os::held::Held;

use super::{path, text};

pub(super) fn aws(settings: &aws::Settings) -> String {
    let aws::Settings { secret_id, region, endpoint, sts_endpoint, roots } = settings;
    let more = [
        ("region", said(region.as_ref())),
        ("endpoint", said(endpoint.as_ref())),
        ("sts_endpoint", said(sts_endpoint.as_ref())),
        ("ca", ca(roots)),
    ];
    format!("source = \"aws-secrets-manager\"\nsecret_id = {}{}", text(secret_id), lines(more))
}

pub(super) fn openbao(settings: &openbao::Settings) -> String {
    let openbao::Settings { address, namespace, mount, path, field, identity, roots } = settings;
    let identity = match identity {
        Identity::AppRole { mount, role_id, secret_id, wrapping } => format!(
            "app_role = {{ mount = {}, role_id = {}, secret_id = {}, wrapped = {} }}",
            text(mount),
            text(role_id),
            held(secret_id),
            *wrapping == Wrapping::Wrapped
        ),
        Identity::Token(token) => format!("token = {}", held(token)),
    };
    let more = [
        ("address", said(Some(address))),
        ("namespace", said(namespace.as_ref())),
        ("mount", said(Some(mount))),
        ("path", said(Some(path))),
        ("field", said(Some(field))),
        ("ca", ca(roots)),
    ];
    format!("source = \"openbao\"\n{identity}{}", lines(more))
}

fn held(held: &Held) -> String {
    match held {
        Held::Credential(name) => format!("{{ credential = {} }}", text(name)),
        Held::File(file) => format!("{{ file = {} }}", path(file)),
    }
}

fn said(value: Option<&impl Display>) -> Option<String> {
    value.map(|value| text(&value.to_string()))
}

fn ca(roots: &Roots) -> Option<String> {
    match roots {
        Roots::File(file) => Some(path(file)),
        Roots::Host => None,
    }
}

fn lines<const COUNT: usize>(more: [(&str, Option<String>); COUNT]) -> String {
    more.into_iter().filter_map(|(key, value)| Some(format!("\n{key} = {}", value?))).collect()
}
