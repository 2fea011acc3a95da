//! OpenBao: the real server where there is one (`make test-openbao`), else one that hvac takes for it.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::server::Server;
use super::{reconfigure, tls, vault_from};
use crate::kit::vault::{new_key, write_private};
use crate::kit::{Request, TestVault, poll};

pub(crate) struct OpenBao {
    server: Server,
    room: TempDir,
    key: String,
}

impl OpenBao {
    pub(crate) fn start() -> Option<Self> {
        let room = tempfile::tempdir().expect("a directory");
        let key = new_key();
        write_private(&room.path().join("keys"), format!("{key}\n").as_bytes());
        tls::write(room.path(), "localhost");
        let files = ["keys", "server.crt", "server.key", "ca.pem"].map(|name| room.path().join(name));
        let files: Vec<&str> = files.iter().filter_map(|file| file.to_str()).collect();
        let server = Server::start("openbao.py", "hvac", room.path(), &files)?;
        Some(Self { server, room, key })
    }

    pub(crate) fn address(&self) -> &str {
        self.server.text("/address")
    }

    /// Ends the server; its files stay for as long as the directory.
    pub(crate) fn end(self) -> TempDir {
        self.room
    }

    fn tell(&self, what: &Value) -> Value {
        self.server.tell(what)
    }

    fn token(&self, what: &Value) -> String {
        self.tell(what)["token"].as_str().expect("a token").to_owned()
    }

    /// A file of this name with this text, that is the daemon's alone.
    fn held(&self, name: &str, text: &str) -> PathBuf {
        let path = self.room.path().join(name);
        write_private(&path, format!("{text}\n").as_bytes());
        path
    }

    /// Lines of `[root_key]` for a secret, with these more.
    pub(crate) fn root_key(&self, path: &str, more: &str) -> String {
        let (address, ca) = (self.server.text("/address"), self.room.path().join("ca.pem"));
        format!(
            "source = \"openbao\"\naddress = \"{address}\"\npath = \"{path}\"\nca = \"{}\"\nwait = \"0s\"\n{more}",
            ca.display()
        )
    }

    pub(crate) fn with_token(&self, token: &str) -> String {
        format!("token = {{ file = \"{}\" }}", self.held("token", token).display())
    }

    fn with_role(&self, secret_id: &str, more: &str) -> String {
        let (role_id, file) = (self.server.text("/role_id"), self.held("secret-id", secret_id));
        format!(
            "app_role = {{ role_id = \"{role_id}\", secret_id = {{ file = \"{}\" }}{more} }}",
            file.display()
        )
    }

    fn secret_id(&self) -> String {
        self.tell(&json!({"do": "secret_id"}))["secret_id"].as_str().expect("a secret id").to_owned()
    }

    pub(crate) fn reader(&self) -> String {
        self.token(&json!({"do": "token", "policies": ["tokenkeep"]}))
    }

    fn serves(&self, more: &str) {
        let mut vault = vault_from(&self.root_key("tokenkeep/root", more), &[]);
        vault.start_as_configured();
        vault.create_org("acme");
        vault.stop();
    }

    fn ends(&self, root_key: &str, code: i32, words: &[&str]) {
        let mut vault = vault_from(root_key, &[]);
        vault.start_in_vain_as_configured().with(code, words);
        let said = vault.said();
        for secret in [self.key.as_str(), "hunter2", "hvs."] {
            assert!(!said.contains(secret), "{said}");
        }
    }

    fn count(&self) -> u64 {
        self.tell(&json!({"do": "accessors"}))["count"].as_u64().expect("a count")
    }
}

#[test]
fn a_token_a_role_and_a_wrapped_secret_id_lead_to_the_key() {
    let Some(bao) = OpenBao::start() else { return };
    bao.serves(&bao.with_token(&bao.reader()));
    let before = bao.count();
    bao.serves(&bao.with_role(&bao.secret_id(), ""));
    bao.serves(&bao.with_role(&bao.token(&json!({"do": "wrap"})), ", wrapped = true"));
    assert_eq!(bao.count(), before, "no token of ours is left behind");

    let credentials = bao.room.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    write_private(&credentials.join("bao"), bao.reader().as_bytes());
    let root_key = bao.root_key("tokenkeep/root", "token = { credential = \"bao\" }");
    let mut vault = vault_from(&root_key, &[("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap())]);
    vault.start_as_configured();
    vault.stop();
}

#[test]
fn what_was_opened_on_the_way_is_refused_for_safety() {
    let Some(bao) = OpenBao::start() else { return };
    let wrapped = |token: &str| bao.root_key("tokenkeep/root", &bao.with_role(token, ", wrapped = true"));
    let opened = bao.token(&json!({"do": "wrap"}));
    bao.tell(&json!({"do": "open", "token": opened}));
    bao.ends(&wrapped(&opened), 77, &["opened before, or has expired", "find out who"]);

    let first = bao.token(&json!({"do": "wrap"}));
    let again = bao.token(&json!({"do": "rewrap", "token": first}));
    bao.ends(&wrapped(&again), 77, &["not wrapped where secret ids are made"]);
    // It was looked at and not opened.
    bao.tell(&json!({"do": "open", "token": again}));
    bao.ends(&wrapped("hvs.never-was"), 77, &["opened before"]);
}

#[test]
fn each_refusal_of_openbao_has_its_code_and_line() {
    let Some(bao) = OpenBao::start() else { return };
    let token = bao.with_token(&bao.reader());
    let of = |path: &str, more: &str| bao.root_key(path, &format!("{token}\n{more}"));
    bao.ends(&of("tokenkeep/none", ""), 69, &["there is no such secret", "bao kv put"]);
    bao.ends(&of("tokenkeep/deleted", ""), 78, &["newest version of the secret is deleted"]);
    bao.ends(&of("tokenkeep/wrong", ""), 65, &["line 1 is not a Fernet key"]);
    bao.ends(&of("tokenkeep/list", ""), 78, &["field keys is not a text"]);
    bao.ends(&of("tokenkeep/root", "field = \"none\""), 78, &["no field none"]);
    bao.ends(&of("tokenkeep/root", "field = \"other\""), 65, &["line 1 is not a Fernet key"]);
    bao.ends(&of("elsewhere/root", ""), 69, &["permission denied", "policies"]);

    let stranger = bao.with_token(&bao.token(&json!({"do": "token", "policies": ["default"]})));
    bao.ends(&bao.root_key("tokenkeep/root", &stranger), 69, &["permission denied", "policies"]);
    let nobody = bao.with_token("hvs.hunter2");
    bao.ends(
        &bao.root_key("tokenkeep/root", &nobody),
        69,
        &["permission denied", "not valid or has expired"],
    );
    let role = bao.with_role("hunter2", "");
    bao.ends(&bao.root_key("tokenkeep/root", &role), 78, &["AppRole does not take"]);

    let gone = bao.held("gone", "");
    fs::remove_file(&gone).unwrap();
    let absent = format!("token = {{ file = \"{}\" }}", gone.display());
    bao.ends(&bao.root_key("tokenkeep/root", &absent), 69, &["does not exist", "put the token"]);
    write_private(&gone, b"two\nlines\n");
    bao.ends(&bao.root_key("tokenkeep/root", &absent), 78, &["not one line"]);
}

#[test]
fn only_whom_the_named_authority_signed_for_this_name_is_asked() {
    let Some(bao) = OpenBao::start() else { return };
    let root_key = bao.root_key("tokenkeep/root", &bao.with_token(&bao.reader()));
    bao.ends(&root_key.replace("/ca.pem", "/other-ca.pem"), 77, &["is not trusted", "no authority", "ca"]);
    bao.ends(&root_key.replace("//localhost", "//127.0.0.1"), 77, &["is not trusted", "another name"]);
    let lines: Vec<&str> = root_key.lines().filter(|line| !line.starts_with("ca ")).collect();
    let mut vault = vault_from(&lines.join("\n"), &[]);
    // 77 where the host has a list of authorities, 78 where it has none: trusted it never is.
    let ended = vault.start_in_vain_as_configured();
    assert!(matches!(ended.code, Some(77 | 78)), "{ended:?}");
    bao.ends(&root_key.replace("/ca.pem", "/none.pem"), 78, &["none.pem does not exist"]);
    bao.ends(&root_key.replace("https://", "http://"), 69, &["see "]);
}

/// Starts a daemon with patience, and does this once it has said these words.
fn mended(bao: &OpenBao, root_key: &str, words: &str, mend: &Value) {
    let mut vault = vault_from(&root_key.replace("\"0s\"", "\"1h\""), &[]);
    let err = vault.room().join("err.log");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            poll(words, || fs::read_to_string(&err).ok()?.contains(words).then_some(()));
            bao.tell(mend);
        });
        vault.start_as_configured();
    });
    vault.stop();
}

#[test]
fn a_sealed_server_is_waited_for() {
    let Some(bao) = OpenBao::start() else { return };
    let root_key = bao.root_key("tokenkeep/root", &bao.with_token(&bao.reader()));
    bao.tell(&json!({"do": "seal"}));
    bao.ends(&root_key, 69, &["OpenBao is sealed", "unseal it"]);
    mended(&bao, &root_key, "is sealed", &json!({"do": "unseal"}));
}

#[test]
fn what_can_be_opened_once_is_kept_while_the_rest_is_waited_for() {
    let Some(bao) = OpenBao::start() else { return };
    let role = bao.with_role(&bao.token(&json!({"do": "wrap"})), ", wrapped = true");
    let root_key = bao.root_key("tokenkeep/later", &role);
    mended(&bao, &root_key, "no such secret", &json!({"do": "put", "path": "tokenkeep/later"}));
    bao.ends(&root_key, 77, &["opened before"]);
}

#[test]
fn once_it_runs_it_needs_openbao_no_more() {
    let Some(bao) = OpenBao::start() else { return };
    let root_key = bao.root_key("tokenkeep/root", &bao.with_role(&bao.secret_id(), ""));
    let mut vault = vault_from(&root_key, &[]);
    vault.start_as_configured();
    vault.create_org("acme");
    let reload = |vault: &TestVault| vault.admin().send(&Request::new("POST", "/admin/v1/keys/reload"));
    reload(&vault).is(200);
    bao.tell(&json!({"do": "seal"}));
    let refused = reload(&vault).refused(503, "not_ready");
    assert!(
        refused.detail.contains("sealed") && refused.detail.contains("old list stands"),
        "{}",
        refused.detail
    );
    let OpenBao { server, room: _room, key } = bao;
    drop(server);
    vault.put("acme", "github/main", &json!({"access_token": "kept"}));
    // Its last connection may still be reset.
    poll("the manager to be gone", || {
        let refused = reload(&vault).refused(503, "not_ready");
        refused.detail.contains("cannot be reached").then_some(())
    });
    assert_eq!(vault.access_token("acme", "github/main"), "kept");
    vault.stop();
    vault.write_root_key(&[&key]);
    let of_file = format!("source = \"file\"\npath = \"{}\"", vault.root_key_file().display());
    reconfigure(&mut vault, &of_file, &[]);
    vault.start_as_configured();
    assert_eq!(vault.access_token("acme", "github/main"), "kept");
    vault.audit_is_intact();
}
