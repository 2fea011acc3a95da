//! `[[provider]]`, written again: the preset, and what was written by hand over it.
//!
//! Never leaves out what was said.

use std::time::Duration;

use tokenkeep::domain::provider::client::{ClientAuth, OAuthClient};
use tokenkeep::domain::provider::{Address, Provider};
use tokenkeep::net::outbound::Roots;
use tokenkeep::os::held::Held;

use super::{path, span, text};

pub(super) fn provider(provider: &Provider) -> String {
    let scopes: Vec<String> = provider.allowed_scopes.iter().map(|scope| text(scope)).collect();
    let preset = provider.preset.map_or_else(String::new, |preset| format!("preset = {}\n", text(preset)));
    let id = text(provider.id.as_str());
    let mut out = format!("[[provider]]\nid = {id}\n{preset}allowed_scopes = [{}]\n", scopes.join(", "));
    if let Some(client) = &provider.client {
        let lines = provider.by_hand.iter().map(|name| format!("{name} = {}\n", value(client, name)));
        out.extend(lines);
    }
    out
}

fn value(client: &OAuthClient, name: &str) -> String {
    let (signing, held) = match &client.auth {
        ClientAuth::PrivateKeyJwt(signing) => (Some(signing), client.auth.places()),
        _ => (None, client.auth.places()),
    };
    let revocation = client.revocation.as_ref();
    match name {
        "absolute_limit" => life(client.absolute_limit),
        "access_token_lifetime" => life(client.access_token_lifetime),
        "assertion_audience" => said(signing.and_then(|signing| signing.audience.clone())),
        "authorization_endpoint" => address(client.authorization_endpoint.as_ref()),
        "ca" => match &client.roots {
            Roots::File(file) => path(file),
            Roots::Host => panic!("a ca that is not there"),
        },
        "client_auth" => text(client.auth.method().as_str()),
        "client_certificate" | "client_key" | "client_secret" => {
            place(held.iter().find(|(one, _)| *one == name).expect("a place").1)
        }
        "client_errors" => list(&client.client_errors),
        "client_id" => text(&client.id),
        "client_key_id" => said(signing.and_then(|signing| signing.id.clone())),
        "errors_in_200" => client.errors_in_200.to_string(),
        "grant_errors" => list(&client.grant_errors),
        // Only lets addresses through that stand here anyway.
        "http_loopback" => "true".to_owned(),
        "idle_limit" => life(client.idle_limit),
        "leeway" => text(&span(client.leeway)),
        "refresh_early" => text(client.refresh_early.as_str()),
        "reuse_revokes_family" => client.reuse_revokes_family.to_string(),
        "revocation" => said(revocation.map(|one| one.way.as_str().to_owned())),
        "revocation_endpoint" => address(revocation.map(|one| &one.endpoint)),
        "rotation" => text(client.rotation.as_str()),
        "scope_separator" => text(client.scope_separator.as_str()),
        "token_endpoint" => address(Some(&client.token_endpoint)),
        "token_request" => text(client.token_request.as_str()),
        other => panic!("{other}: a setting that this list does not know"),
    }
}

fn life(life: Option<Duration>) -> String {
    life.map_or_else(|| text("none"), |life| text(&span(life)))
}

fn said(value: Option<String>) -> String {
    text(&value.expect("it was written"))
}

fn address(address: Option<&Address>) -> String {
    said(address.map(ToString::to_string))
}

fn list(errors: &[String]) -> String {
    let errors: Vec<String> = errors.iter().map(|error| text(error)).collect();
    format!("[{}]", errors.join(", "))
}

fn place(held: &Held) -> String {
    match held {
        Held::Credential(name) => format!("{{ credential = {} }}", text(name)),
        Held::File(file) => format!("{{ file = {} }}", path(file)),
    }
}
