//! What is written for each way of proving oneself and of revoking. That real servers take it: `tests/daemon/providers`.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::domain::provider::Address;
use crate::domain::provider::client::{ClientAuth, RefreshEarly, Rotation, ScopeSeparator};
use crate::net::outbound::Roots;
use crate::os::held::Held;
use crate::os::private_file;

fn client(auth: ClientAuth, token_request: BodyForm) -> OAuthClient {
    let address = |text| Address::parse(text).unwrap();
    OAuthClient {
        id: "a b".into(),
        auth,
        token_endpoint: address("https://idp.example/token?x=1"),
        authorization_endpoint: None,
        issuer: None,
        revocation: None,
        roots: Roots::Host,
        token_request,
        headers: &[("notion-version", "1")],
        rotation: Rotation::Rotates,
        leeway: Duration::ZERO,
        reuse_revokes_family: true,
        idle_limit: None,
        absolute_limit: None,
        access_token_lifetime: None,
        refresh_early: RefreshEarly::KillsAccessToken,
        errors_in_200: false,
        grant_errors: Vec::new(),
        client_errors: Vec::new(),
        scope_separator: ScopeSeparator::Space,
    }
}

fn secret(room: &Path) -> Held {
    let path = room.join("secret");
    private_file::replace(&path, b"p+q\r\n", 0o600).unwrap();
    Held::File(path)
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers().find(|(one, _)| *one == name).map(|(_, value)| value)
}

fn body(request: &Request) -> &str {
    std::str::from_utf8(request.body()).unwrap()
}

#[test]
fn a_refresh_is_written_as_the_client_proves_itself() {
    let room = tempfile::tempdir().unwrap();
    let held = secret(room.path());
    let token = RefreshToken::new("rt/1".into());
    let ask = |auth, form| refresh_request(&client(auth, form), &token, UNIX_EPOCH).unwrap();

    let post = ask(ClientAuth::Post(held.clone()), BodyForm::Form);
    assert_eq!(post.target(), ("POST", "/token?x=1"));
    assert_eq!(
        body(&post),
        "grant_type=refresh_token&refresh_token=rt%2F1&client_secret=p%2Bq&client_id=a+b"
    );
    assert_eq!(header(&post, "content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(
        (header(&post, "accept"), header(&post, "notion-version")),
        (Some("application/json"), Some("1"))
    );
    assert_eq!(header(&post, "authorization"), None);

    let basic = ask(ClientAuth::Basic(held.clone()), BodyForm::Json);
    assert_eq!(body(&basic), r#"{"grant_type":"refresh_token","refresh_token":"rt/1"}"#);
    assert_eq!(header(&basic, "authorization"), Some("Basic YStiOnAlMkJx"), "a+b:p%2Bq");
    let raw = ask(ClientAuth::BasicRaw(held), BodyForm::Form);
    assert_eq!(header(&raw, "authorization"), Some("Basic YSBiOnArcQ=="), "a b:p+q");
    let public = ask(ClientAuth::None, BodyForm::Form);
    assert_eq!(body(&public), "grant_type=refresh_token&refresh_token=rt%2F1&client_id=a+b");
}

#[test]
fn each_way_of_revoking_is_written() {
    let room = tempfile::tempdir().unwrap();
    let client = client(ClientAuth::Post(secret(room.path())), BodyForm::Form);
    let (access, refresh) = (AccessToken::new("at".into()), RefreshToken::new("rt".into()));
    let ask = |way, refresh| {
        let revocation = Revocation { endpoint: Address::parse("https://idp.example/r").unwrap(), way };
        revocation_request(&client, &revocation, &Revoked { access: &access, refresh }, UNIX_EPOCH).unwrap()
    };
    let form = ask(RevocationWay::Form, Some(&refresh));
    assert_eq!(body(&form), "token=rt&token_type_hint=refresh_token&client_secret=p%2Bq&client_id=a+b");
    assert!(body(&ask(RevocationWay::Form, None)).starts_with("token=at&token_type_hint=access_token&"));
    let json = ask(RevocationWay::Json, Some(&refresh));
    assert!(
        body(&json).starts_with(r#"{"token":"rt","token_type_hint":"refresh_token","#),
        "{}",
        body(&json)
    );
    let bearer = ask(RevocationWay::Bearer, Some(&refresh));
    assert_eq!(
        (bearer.target().0, header(&bearer, "authorization"), body(&bearer)),
        ("POST", Some("Bearer at"), "")
    );
    let github = ask(RevocationWay::GitHub, None);
    assert_eq!(github.target(), ("DELETE", "/r/a+b/token"));
    assert_eq!(
        (body(&github), header(&github, "authorization")),
        (r#"{"access_token":"at"}"#, Some("Basic YSBiOnArcQ=="))
    );
}

#[test]
fn a_secret_that_cannot_be_had_is_ours_to_mend() {
    let auth = ClientAuth::Post(Held::File("/nonexistent/secret".into()));
    let token = RefreshToken::new("rt".into());
    let why = refresh_request(&client(auth, BodyForm::Form), &token, UNIX_EPOCH).err().unwrap();
    assert!(!why.is_unsafe() && why.to_string().contains("does not exist"), "{why}");
}
