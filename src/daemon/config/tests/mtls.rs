//! The second door of the file, and the names that clients come in by.

use super::*;
use crate::domain::san::San;

/// The lines of `[listen.mtls]`, from line 6 on, with one of them replaced or added.
fn mtls(line: &str) -> String {
    let mut text = String::from("[listen.mtls]\n");
    for (key, value) in [
        ("address", "\"127.0.0.1:8443\""),
        ("certificate", "\"/etc/tokenkeep/server.crt\""),
        ("key", "\"/etc/tokenkeep/server.key\""),
        ("client_ca", "\"/etc/tokenkeep/clients-ca.crt\""),
    ] {
        let is_replaced = line.split(" = ").next() == Some(key);
        text += &if is_replaced { format!("{line}\n") } else { format!("{key} = {value}\n") };
    }
    if !text.contains(line) {
        text += line;
    }
    text + "\n"
}

#[test]
fn the_second_door_is_read() {
    let text = mtls("key = { credential = \"server-key\" }")
        + "crl = \"/etc/tokenkeep/clients.crl\"\nminimum_version = \"1.2\"\n"
        + &client("mtls = { san = \"spiffe://example/web\" }");
    let config = parse(&format!("{LEAST}{text}")).expect("a configuration");
    let door = config.listen.mtls.as_ref().expect("a second door");
    assert_eq!(door.address.to_string(), "127.0.0.1:8443");
    assert_eq!((&door.key, door.minimum), (&TlsKey::Credential("server-key".into()), Version::Tls12));
    assert_eq!(door.sources(None), None, "systemd gave no credential");
    let sources = door.sources(Some("/run/credentials".into())).expect("sources");
    assert_eq!(sources.key_file(), Path::new("/run/credentials/server-key"));
    assert_eq!(config.policy.clients()[0].san, San::parse("spiffe://example/web"));
}

#[test]
fn a_second_door_that_is_not_understood_is_refused() {
    for (line, at, words) in [
        ("address = 'ghs_canary'", 7, "not an address"),
        ("address = 'localhost:8443'", 7, "not an address"),
        ("certificate = 'ghs_canary'", 8, "not an absolute path"),
        ("key = 'ghs_canary'", 9, "not an absolute path"),
        ("key = { credential = '../ghs_canary' }", 9, "not a name of a credential"),
        ("key = { credentail = 'ghs_canary' }", 9, "expected a path, or { credential"),
        ("client_ca = 'ghs_canary'", 10, "not an absolute path"),
        ("crl = 'ghs_canary'", 11, "not an absolute path"),
        ("minimum_version = '1.1'", 11, "no such version"),
        ("tickets = true", 11, "unknown field `tickets`"),
    ] {
        let error = parse(&format!("{LEAST}{}", mtls(line))).expect_err(line);
        let said = error.to_string();
        let ConfigError::Text(fault) = &error else { panic!("{said}") };
        assert_eq!(fault.at.map(|(line, _)| line), Some(at), "{line}\n{said}");
        assert!(said.contains(words) && !said.contains(CANARY), "{line}\n{said}");
    }
    let named = |san: &str| {
        format!("{LEAST}{}{}", mtls("crl = '/crl'"), client(&format!("mtls = {{ san = \"{san}\" }}")))
    };
    for san in ["*.ghs_canary", "spiffe://Example/ghs_canary", "ghs canary"] {
        let said = parse(&named(san)).expect_err(san).to_string();
        assert!(said.contains("not a name that a client certificate can be known by"), "{said}");
        assert!(!said.contains("ghs"), "{said}");
    }
    let twin =
        named("web.example").replace("\"web\"", "\"twin\"").replace("unix = { user = \"webapp\" }\n", "");
    let both = named("web.example") + "\n" + &twin[twin.find("[[client]]").expect("a client")..];
    let said = parse(&both).expect_err("two of one name").to_string();
    assert!(said.contains("the client web has the same san"), "{said}");
}
