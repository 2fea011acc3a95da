//! The clients of the file: what a preset says, what is written over it, and what is refused.

use super::*;
use crate::domain::provider::OAuthClient;
use crate::domain::provider::client::{
    AuthMethod, BodyForm, ClientAuth, ErrorMeaning, RefreshEarly, RevocationWay, Rotation, ScopeSeparator,
};
use crate::os::held::Held;

/// A provider from line 6 on.
fn provider(lines: &str) -> String {
    format!("{LEAST}[[provider]]\nid = 'p'\n{lines}\n")
}

fn client_of(lines: &str) -> OAuthClient {
    let config = parse(&provider(lines)).unwrap_or_else(|why| panic!("{lines}\n{why}"));
    config.providers[0].client.clone().expect("a client")
}

const SECRET: &str = "client_secret = { credential = 'github-secret' }\n";

#[test]
fn a_preset_says_everything_but_who_we_are() {
    let client = client_of(&format!("preset = 'github'\nclient_id = 'Iv1.x'\n{SECRET}"));
    assert_eq!(client.id, "Iv1.x");
    assert_eq!(client.auth, ClientAuth::Post(Held::Credential("github-secret".into())));
    assert_eq!(client.token_endpoint.to_string(), "https://github.com/login/oauth/access_token");
    assert_eq!((client.rotation, client.leeway.as_secs()), (Rotation::Rotates, 0));
    assert_eq!(client.refresh_early, RefreshEarly::KillsAccessToken);
    assert!(client.errors_in_200 && client.reuse_revokes_family);
    assert_eq!(client.idle_limit, Some(Duration::from_secs(181 * 86400)));
    assert_eq!(client.meaning("bad_refresh_token"), ErrorMeaning::Grant);
    assert_eq!(client.meaning("incorrect_client_credentials"), ErrorMeaning::Client);
    assert_eq!(client.meaning("slow_down"), ErrorMeaning::Other);
    let revocation = client.revocation.expect("a revocation");
    assert_eq!(revocation.way, RevocationWay::GitHub);
}

#[test]
fn every_field_is_overridden_by_hand() {
    let lines = "preset = 'github'\nclient_id = 'c'\nclient_auth = 'private_key_jwt'\n\
                 client_key = { file = '/k.pem' }\nclient_key_id = 'k1'\nassertion_audience = 'https://idp.example'\n\
                 token_endpoint = 'https://idp.example/t?x=1'\nauthorization_endpoint = 'https://idp.example/a'\n\
                 revocation_endpoint = 'https://idp.example/r'\nrevocation = 'form'\ntoken_request = 'json'\n\
                 rotation = 'stays'\nleeway = '10m'\nreuse_revokes_family = false\nidle_limit = 'none'\n\
                 absolute_limit = '365d'\naccess_token_lifetime = '1h'\nrefresh_early = 'allowed'\n\
                 errors_in_200 = false\ngrant_errors = []\nclient_errors = ['access_denied']\nscope_separator = ' '\n\
                 ca = '/etc/ssl/idp.pem'\n";
    let config = parse(&provider(lines)).expect("a configuration");
    let provider = &config.providers[0];
    let client = provider.client.as_ref().expect("a client");
    let ClientAuth::PrivateKeyJwt(signing) = &client.auth else { panic!("{:?}", client.auth) };
    assert_eq!((signing.id.as_deref(), &signing.key), (Some("k1"), &Held::File("/k.pem".into())));
    assert_eq!(signing.audience.as_deref(), Some("https://idp.example"));
    assert_eq!(client.token_endpoint.target(), "/t?x=1");
    assert_eq!(client.revocation.as_ref().map(|one| one.way), Some(RevocationWay::Form));
    assert_eq!((client.token_request, client.rotation), (BodyForm::Json, Rotation::Stays));
    assert_eq!((client.leeway.as_secs(), client.reuse_revokes_family), (600, false));
    assert_eq!(
        (client.idle_limit, client.absolute_limit.map(|span| span.as_secs())),
        (None, Some(31_536_000))
    );
    assert_eq!((client.refresh_early, client.errors_in_200), (RefreshEarly::Allowed, false));
    assert_eq!(client.meaning("bad_refresh_token"), ErrorMeaning::Other);
    assert_eq!(client.meaning("access_denied"), ErrorMeaning::Client);
    assert_eq!(client.scope_separator, ScopeSeparator::Space);
    assert_eq!(provider.preset, Some("github"));
    assert_eq!(provider.by_hand.len(), 22, "{:?}", provider.by_hand);
}

#[test]
fn without_a_preset_three_fields_are_enough_and_the_rest_loses_nothing() {
    let client = client_of(&format!(
        "client_id = 'c'\n{SECRET}token_endpoint = 'https://idp.example/t'\nclient_auth = 'basic'\nrotation = 'rotates'"
    ));
    assert_eq!(client.auth.method(), AuthMethod::Basic);
    assert!(client.leeway.is_zero() && client.reuse_revokes_family && client.idle_limit.is_none());
    assert_eq!(client.refresh_early, RefreshEarly::KillsAccessToken);
    assert_eq!((client.revocation, client.authorization_endpoint), (None, None));
}

#[test]
fn without_a_client_id_tokens_are_only_held() {
    for lines in ["", "preset = 'slack'", "requires_consent = false"] {
        let config = parse(&provider(lines)).expect("a configuration");
        assert_eq!(config.providers[0].client, None, "{lines}");
    }
}

#[test]
fn a_client_that_is_not_understood_is_refused() {
    // Three lines before: [[provider]], id, and the first of these is line 8.
    let whole = |line: &str| format!("preset = 'github'\nclient_id = 'c'\n{SECRET}{line}");
    let bare = |line: &str| format!("client_id = 'c'\n{line}");
    for (lines, at, words) in [
        ("preset = 'ghs_canary'".into(), 8, "use one of aircall, asana,"),
        ("rotation = 'rotates'".into(), 8, "rotation does nothing without client_id"),
        (SECRET.to_owned(), 8, "client_secret does nothing without client_id"),
        ("client_id = ''".into(), 8, "not a client id"),
        (bare("rotation = 'stays'"), 8, "client_auth is missing, and there is no preset"),
        (bare("client_auth = 'none'"), 8, "token_endpoint is missing"),
        (bare("client_auth = 'none'\ntoken_endpoint = 'https://a.example/t'"), 8, "rotation is missing"),
        (
            "preset = 'zendesk'\nclient_id = 'c'\nclient_secret = { file = '/s' }".into(),
            9,
            "zendesk does not know it",
        ),
        ("preset = 'github'\nclient_id = 'c'".into(), 9, "client_secret is missing"),
        (
            "preset = 'github'\nclient_id = 'c'\nclient_secret = 'ghs_canary'".into(),
            10,
            "expected a table with file",
        ),
        (
            "preset = 'github'\nclient_id = 'c'\nclient_secret = { value = 'ghs_canary' }".into(),
            10,
            "unknown field",
        ),
        (
            "preset = 'github'\nclient_id = 'c'\nclient_secret = { file = 'ghs_canary' }".into(),
            10,
            "not an absolute",
        ),
        ("preset = 'github'\nclient_id = 'c'\nclient_secret = { }".into(), 10, "not one place"),
        (whole("client_auth = 'ghs_canary'"), 11, "use \"basic\" or \"basic_raw\""),
        (whole("client_auth = 'none'"), 10, "client_secret does not belong to client_auth = \"none\""),
        (whole("client_auth = 'mtls'"), 10, "it takes client_certificate, client_key"),
        (whole("client_key = { file = '/k' }"), 11, "client_key does not belong to client_auth = \"post\""),
        (whole("token_endpoint = 'ghs_canary'"), 11, "not an address"),
        (whole("token_endpoint = 'https://u:ghs_canary@a.example/'"), 11, "not an address"),
        (whole("token_endpoint = 'http://127.0.0.1/t'"), 11, "would go in plain text"),
        (whole("http_loopback = true\ntoken_endpoint = 'http://127.0.0.1/t'"), 12, "would go in plain text"),
        (whole("rotation = 'ghs_canary'"), 11, "use \"rotates\" or \"stays\""),
        (whole("refresh_early = 'ghs_canary'"), 11, "use \"allowed\" or \"kills_access_token\""),
        (whole("leeway = 'ghs_canary'"), 11, "not a span of time"),
        (whole("leeway = '2d'"), 11, "out of range"),
        (whole("idle_limit = '0s'"), 11, "out of range"),
        (whole("errors_in_200 = 'ghs_canary'"), 11, "expected a boolean"),
        (whole("grant_errors = ['ghs_canary\\\"']"), 11, "not an error code"),
        (whole("issuer = 'ghs_canary b'"), 11, "not an issuer"),
        (whole("scope_separator = ';'"), 11, "use \" \" or \",\""),
        (whole("revocation = 'ghs_canary'"), 11, "use \"bearer\""),
        (
            "preset = 'bitbucket'\nclient_id = 'c'\nclient_secret = { file = '/s' }\nrevocation = 'form'"
                .into(),
            11,
            "no place where",
        ),
    ] {
        let error = parse(&provider(&lines)).expect_err(&lines);
        let said = error.to_string();
        let ConfigError::Text(fault) = &error else { panic!("{said}") };
        assert_eq!(fault.at.map(|(line, _)| line), Some(at), "{lines}\n{said}");
        assert!(said.contains(words), "{lines}\n{said}");
        assert!(!said.contains(CANARY) && !fault.mend.is_empty(), "{lines}\n{said}");
    }
}

#[test]
fn plain_http_is_for_loopback_in_development_where_it_is_asked_for() {
    let text = |environment: &str, asked: bool, host: &str| {
        let lines = format!(
            "client_id = 'c'\nclient_auth = 'none'\nrotation = 'rotates'\nhttp_loopback = {asked}\n\
             token_endpoint = 'http://{host}/token'"
        );
        provider(&lines).replace("\"production\"", environment)
    };
    assert!(parse(&text("'development'", true, "127.0.0.1:4000")).is_ok());
    for (environment, asked, host) in [
        ("'development'", false, "127.0.0.1:4000"),
        ("'development'", true, "idp.example"),
        ("'staging'", true, "127.0.0.1:4000"),
    ] {
        let said = parse(&text(environment, asked, host)).expect_err(host).to_string();
        assert!(said.contains("would go in plain text"), "{said}");
    }
}
