//! AWS Secrets Manager: moto, which checks signatures and rights; every way to credentials; every failure.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::json;
use tempfile::TempDir;

use super::server::Server;
use super::{reconfigure, tls, vault_from};
use crate::kit::vault::{new_key, write_private};
use crate::kit::{Request, TestVault};

/// AWS, and what a test needs to know of it.
pub(crate) struct Aws {
    server: Server,
    room: TempDir,
    key: String,
}

impl Aws {
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&["keys"])
    }

    fn start_over_tls() -> Option<Self> {
        Self::start_with(&["keys", "server.crt", "server.key"])
    }

    fn start_with(files: &[&str]) -> Option<Self> {
        let room = tempfile::tempdir().expect("a directory");
        let key = new_key();
        write_private(&room.path().join("keys"), format!("# newest first\n{key}\n").as_bytes());
        tls::write(room.path(), "127.0.0.1");
        let files: Vec<PathBuf> = files.iter().map(|file| room.path().join(file)).collect();
        let files: Vec<&str> = files.iter().filter_map(|file| file.to_str()).collect();
        let server = Server::start("aws.py", "moto.server", room.path(), &files)?;
        Some(Self { server, room, key })
    }

    pub(crate) fn misbehave(&self, fault: &serde_json::Value) {
        self.server.misbehave(fault);
    }

    /// One for all tests that leave it as it is.
    fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Aws>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// Lines of `[root_key]` for this secret.
    pub(crate) fn root_key(&self, secret: &str) -> String {
        let address = self.server.text("/address");
        format!(
            "source = \"aws-secrets-manager\"\nsecret_id = \"{secret}\"\nregion = \"eu-central-1\"\n\
             endpoint = \"{address}\"\nsts_endpoint = \"{address}\"\nwait = \"0s\""
        )
    }

    /// The variables of a user's keys.
    pub(crate) fn keys_of(&self, user: &str) -> [(&'static str, &str); 2] {
        [
            ("AWS_ACCESS_KEY_ID", self.server.text(&format!("/users/{user}/id"))),
            ("AWS_SECRET_ACCESS_KEY", self.server.text(&format!("/users/{user}/secret"))),
        ]
    }

    fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.room.path().join(name);
        write_private(&path, text.as_bytes());
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        path
    }

    /// The daemon gets its key with these variables, and serves.
    fn serves(&self, variables: &[(&str, &str)]) -> TestVault {
        let mut vault = vault_from(&self.root_key("tokenkeep/root"), variables);
        vault.start_as_configured();
        vault.create_org("acme");
        vault.stop();
        vault
    }

    /// The daemon ends with this code and these words, and says nothing secret.
    fn ends(&self, secret: &str, variables: &[(&str, &str)], code: i32, words: &[&str]) {
        let mut vault = vault_from(&self.root_key(secret), variables);
        vault.start_in_vain_as_configured().with(code, words);
        let said = vault.said();
        for secret in [&self.key, "hunter2", self.server.text("/users/reader/secret")] {
            assert!(!said.contains(secret), "{said}");
        }
    }
}

#[test]
fn every_way_to_credentials_leads_to_the_key() {
    let Some(aws) = Aws::shared() else { return };
    aws.serves(&aws.keys_of("reader"));

    let keys = aws.keys_of("reader").map(|(_, value)| value);
    let section = format!("aws_access_key_id = {}\naws_secret_access_key = {}\n", keys[0], keys[1]);
    let file = aws.file("credentials", &format!("[default]\nx = y\n[ops]\n{section}"), 0o600);
    let profile = [("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap()), ("AWS_PROFILE", "ops")];
    aws.serves(&profile);
    let file = aws.file("config", &format!("[profile ops]\n{section}"), 0o600);
    aws.serves(&[("AWS_CONFIG_FILE", file.to_str().unwrap()), ("AWS_PROFILE", "ops")]);

    let token = aws.file("projected", &format!("{}\n", aws.server.text("/web_token")), 0o644);
    let link = aws.room.path().join("token");
    symlink(token, &link).unwrap();
    let web =
        [("AWS_WEB_IDENTITY_TOKEN_FILE", link.to_str().unwrap()), ("AWS_ROLE_ARN", aws.server.text("/role"))];
    aws.serves(&web);
    let ini = format!("[default]\nrole_arn = {}\nweb_identity_token_file = {}\n", web[1].1, web[0].1);
    let file = aws.file("web-config", &ini, 0o644);
    aws.serves(&[("AWS_CONFIG_FILE", file.to_str().unwrap())]);

    let container = format!("{}/container", aws.server.text("/address"));
    let token = aws.file("container-token", aws.server.text("/container_token"), 0o644);
    aws.serves(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", aws.server.text("/container_token")),
    ]);
    aws.serves(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().unwrap()),
    ]);
}

#[test]
fn the_metadata_of_the_instance_is_asked_by_version_2_alone() {
    let Some(aws) = Aws::shared() else { return };
    let metadata = [
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", aws.server.text("/address")),
    ];
    aws.serves(&metadata);
    let of_metadata: Vec<_> = aws
        .server
        .requests()
        .into_iter()
        .filter(|asked| asked["path"].as_str().unwrap().starts_with("/latest"))
        .collect();
    assert_eq!(of_metadata[0]["method"], "PUT", "{of_metadata:?}");
    assert_eq!(of_metadata.len(), 3);
    assert!(of_metadata[1..].iter().all(|asked| asked["token"] == true), "{of_metadata:?}");
}

#[test]
fn over_tls_only_the_named_authority_is_trusted() {
    let Some(aws) = Aws::start_over_tls() else { return };
    let ca = |file: &str| format!("\nca = \"{}\"", aws.room.path().join(file).display());
    let root_key = aws.root_key("tokenkeep/root");
    let mut vault = vault_from(&(root_key.clone() + &ca("ca.pem")), &aws.keys_of("reader"));
    vault.start_as_configured();
    vault.stop();
    reconfigure(&mut vault, &(root_key.clone() + &ca("other-ca.pem")), &aws.keys_of("reader"));
    vault.start_in_vain_as_configured().with(77, &["is not trusted", "no authority", "nothing was sent"]);
    let elsewhere = root_key.replace("127.0.0.1", "localhost") + &ca("ca.pem");
    reconfigure(&mut vault, &elsewhere, &aws.keys_of("reader"));
    vault.start_in_vain_as_configured().with(77, &["is not trusted", "another name"]);
}

#[test]
fn a_secret_may_be_binary_or_named_by_its_arn() {
    let Some(aws) = Aws::shared() else { return };
    for secret in ["tokenkeep/binary", aws.server.text("/arn")] {
        let mut vault = vault_from(&aws.root_key(secret), &aws.keys_of("reader"));
        vault.start_as_configured();
        vault.stop();
    }
}

#[test]
fn each_refusal_of_aws_has_its_code_and_line() {
    let Some(aws) = Aws::shared() else { return };
    let reader = aws.keys_of("reader");
    let with_id = |id: &str| format!("AWS Secrets Manager{id}");
    aws.ends(
        "tokenkeep/root",
        &[reader[0], ("AWS_SECRET_ACCESS_KEY", "wrong")],
        78,
        &[&with_id(": the signature is wrong")],
    );
    let unknown = [("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN"), reader[1]];
    aws.ends("tokenkeep/root", &unknown, 69, &["does not know the access key of the environment"]);
    aws.ends("tokenkeep/root", &aws.keys_of("stranger"), 69, &["permission denied", "GetSecretValue"]);
    aws.ends("tokenkeep/none", &reader, 69, &["no such secret in eu-central-1"]);
    aws.ends("tokenkeep/deleted", &reader, 78, &["marked for deletion", "restore-secret"]);
    aws.ends("tokenkeep/wrong", &reader, 65, &["line 1 is not a Fernet key"]);
    aws.ends("tokenkeep/huge", &reader, 78, &["too large"]);
}

#[test]
fn a_host_without_credentials_says_where_it_looked() {
    let Some(aws) = Aws::shared() else { return };
    let places = [
        "AWS_ACCESS_KEY_ID",
        "default profile",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_EC2_METADATA_DISABLED",
    ];
    aws.ends("tokenkeep/root", &[], 78, &places);
    let nobody =
        [("AWS_EC2_METADATA_DISABLED", ""), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")];
    aws.ends("tokenkeep/root", &nobody, 69, &["no AWS credentials", "IMDSv2", "cannot be reached"]);
}

#[test]
fn what_a_place_says_wrongly_is_refused_and_not_passed_over() {
    let Some(aws) = Aws::shared() else { return };
    let [id, secret] = aws.keys_of("reader");
    aws.ends("tokenkeep/root", &[id], 78, &["only one is set"]);
    let profile = |text: &str, mode| aws.file("profile", text, mode).to_str().unwrap().to_owned();
    let good = format!("[default]\naws_access_key_id={}\naws_secret_access_key={}\n", id.1, secret.1);
    let ends = |variable, text: &str, mode, code, words: &[&str]| {
        let path = profile(text, mode);
        aws.ends("tokenkeep/root", &[(variable, &path)], code, words);
    };
    ends("AWS_SHARED_CREDENTIALS_FILE", &good, 0o644, 77, &["chmod go-rwx"]);
    ends("AWS_CONFIG_FILE", &good, 0o644, 77, &["chmod go-rwx"]);
    ends(
        "AWS_CONFIG_FILE",
        "[default]\nrole_arn = a\nsource_profile = b\n",
        0o644,
        78,
        &["source_profile", "does not support"],
    );
    ends("AWS_CONFIG_FILE", "[default]\nsso_session = hunter2\n", 0o644, 78, &["sso_session"]);
    ends("AWS_CONFIG_FILE", "[default]\nhunter2\n", 0o644, 78, &["line 2"]);
    let path = profile(&good, 0o600);
    let named = [("AWS_SHARED_CREDENTIALS_FILE", path.as_str()), ("AWS_PROFILE", "none")];
    aws.ends("tokenkeep/root", &named, 78, &["AWS_PROFILE names is not there"]);
    let absent = [("AWS_CONFIG_FILE", "/nonexistent/config"), id, secret];
    aws.ends("tokenkeep/root", &absent[..1], 69, &["/nonexistent/config does not exist", "AWS_CONFIG_FILE"]);
    aws.serves(&absent);
    aws.ends("tokenkeep/root", &[("AWS_SHARED_CREDENTIALS_FILE", "~/x")], 78, &["is relative"]);
    let other = aws.file("other-token", "hunter2", 0o644);
    let role = ("AWS_ROLE_ARN", aws.server.text("/role"));
    let web = [("AWS_WEB_IDENTITY_TOKEN_FILE", other.to_str().unwrap()), role];
    aws.ends("tokenkeep/root", &web, 78, &["AWS STS does not take the web identity token"]);
    let container = format!("{}/container", aws.server.text("/address"));
    let bare = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.as_str())];
    aws.ends("tokenkeep/root", &bare, 69, &["container's credentials", "status 403"]);
    let afar = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.3/x")];
    aws.ends("tokenkeep/root", &afar, 77, &["without TLS"]);
    let far =
        [("AWS_EC2_METADATA_DISABLED", ""), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://203.0.113.1")];
    aws.ends("tokenkeep/root", &far, 77, &["link-local"]);
}

#[test]
fn what_passes_is_waited_for_and_what_does_not_pass_ends() {
    let Some(aws) = Aws::start() else { return };
    let reader = aws.keys_of("reader");
    let throttling = r#"{"__type":"ThrottlingException","message":"hunter2"}"#;
    aws.server.misbehave(&json!({"times": 2, "status": 400, "body": throttling}));
    aws.server.misbehave(&json!({"times": 1, "status": 503, "body": "<html>hunter2"}));
    let patient = aws.root_key("tokenkeep/root").replace("\"0s\"", "\"1h\"");
    let mut vault = vault_from(&patient, &reader);
    vault.start_as_configured();
    let said = vault.said();
    assert!(said.contains("throttling") && said.contains("status 503"), "it says why it waits: {said}");
    assert!(!said.contains("hunter2"), "{said}");
    vault.stop();

    aws.server.misbehave(&json!({"times": 1, "status": 500}));
    aws.ends("tokenkeep/root", &reader, 69, &["AWS Secrets Manager answered status 500"]);
    let elsewhere = format!("{}/elsewhere", aws.server.text("/address"));
    aws.server.misbehave(&json!({"times": 1, "status": 307, "location": elsewhere}));
    aws.ends("tokenkeep/root", &reader, 78, &["status 307", "not followed"]);
    assert!(!aws.server.requests().iter().any(|asked| asked["path"] == "/elsewhere"));
    aws.server.misbehave(&json!({"times": 1, "status": 200, "body": "a".repeat(300_000)}));
    aws.ends("tokenkeep/root", &reader, 78, &["more than 262144 bytes"]);
    aws.server.misbehave(&json!({"times": 1, "status": 200, "body": "hunter2"}));
    aws.ends("tokenkeep/root", &reader, 78, &["no secret in it"]);
}

#[test]
fn once_it_runs_it_needs_aws_no_more() {
    let Some(aws) = Aws::start() else { return };
    let mut vault = vault_from(&aws.root_key("tokenkeep/root"), &aws.keys_of("reader"));
    vault.start_as_configured();
    vault.create_org("acme");
    let reload = |vault: &TestVault| vault.admin().send(&Request::new("POST", "/admin/v1/keys/reload"));
    reload(&vault).is(200);
    let key = aws.key.clone();
    drop(aws);
    vault.put("acme", "github/main", &json!({"access_token": "kept"}));
    let refused = reload(&vault).refused(503, "not_ready");
    assert!(
        refused.detail.contains("cannot be reached") && refused.detail.contains("the old list stands"),
        "{}",
        refused.detail
    );
    assert_eq!(vault.access_token("acme", "github/main"), "kept");
    vault.create_org("another");
    vault.stop();
    // With AWS away it does not start; with its key from elsewhere it does.
    vault.start_in_vain_as_configured().with(69, &["cannot be reached"]);
    vault.write_root_key(&[&key]);
    let of_file = format!("source = \"file\"\npath = \"{}\"", vault.root_key_file().display());
    reconfigure(&mut vault, &of_file, &[]);
    vault.start_as_configured();
    assert_eq!(vault.access_token("acme", "github/main"), "kept");
    vault.audit_is_intact();
}
