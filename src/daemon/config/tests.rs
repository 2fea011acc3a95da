//! The configuration: what is read, and what is refused with which line and mend.

mod egress;
mod mtls;
mod providers;

use super::*;
use crate::daemon::exit::Exit;
use crate::domain::action::Action;
use crate::domain::policy::{Among, Verdict, is_grantable, judge};
use crate::os::peer::Peer;
use crate::os::user;
use std::os::unix::fs::PermissionsExt;
use tokenkeep_client::ids::OrgId;

/// The least that is a configuration: five lines, so what follows starts at line 6.
const LEAST: &str = r#"environment = "production"
state_directory = "/var/lib/tokenkeep"
[root_key]
source = "file"
path = "/run/keys/root.key"
"#;

/// A value that stands in every bad file where a value belongs; no error may repeat it.
const CANARY: &str = "ghs_canary";

fn parse(text: &str) -> Result<Config, ConfigError> {
    let users = |name: &str| match name {
        "webapp" => Ok(1000),
        "worker" => Ok(1001),
        number => number.parse().map_err(|_| UserError::Unknown),
    };
    Config::parse(text.as_bytes(), Path::new("t.toml"), &users)
}

#[test]
fn the_least_is_enough_and_the_rest_has_defaults() {
    let config = parse(LEAST).unwrap();
    assert_eq!(config.environment, "production");
    assert_eq!(config.listen.unix, Path::new("/run/tokenkeep/tokenkeep.sock"));
    assert_eq!(config.listen.admin, Path::new("/run/tokenkeep/admin.sock"));
    assert_eq!(config.root_key, RootKey::File { path: "/run/keys/root.key".into() });
    assert_eq!(config.audit.directory, Path::new("/var/lib/tokenkeep/audit"));
    assert_eq!(config.audit.sync, AuditSync::Interval(Duration::from_millis(50)));
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.memory, Memory { lock: Demand::Required, secret_pages: Demand::Required });
    assert!(config.policy.clients().is_empty() && config.providers.is_empty() && !config.any_provider);
}

#[test]
fn everything_that_can_be_said_is_understood() {
    let config = parse(
        r#"
environment = "staging-2"
state_directory = "/srv/vault"
[listen]
unix = "/run/t/app.sock"
admin = "/run/t/admin.sock"
[root_key]
source = "exec"
command = ["/usr/bin/op", "read", "op://vault/root"]
deadline = "10s"
[[client]]
name = "web"
unix = { user = "webapp", unit = "web.service" }
orgs = ["*"]
providers = ["*"]
allow = ["connection:*", "token:read"]
rate = { per_second = 2000, burst = 4000 }
[[client]]
name = "worker"
unix = { user = 1001 }
orgs = ["acme"]
providers = ["github"]
allow = ["token:read"]
[[provider]]
id = "github"
allowed_scopes = ["read:org", "repo:status"]
[audit]
directory = "/srv/audit"
sync = "always"
[limits]
connections = 100
connections_per_user = 50
header_deadline = "2s"
body_deadline = "20s"
idle_deadline = "5m"
org_keys = 1000
org_key_idle = "1h"
[log]
level = "debug"
levels = { transport = "warn", store = "trace" }
format = "json"
[memory]
lock = "required"
secret_pages = "preferred"
[sandbox]
landlock = "preferred"
"#,
    )
    .unwrap();
    assert_eq!(config.environment, "staging-2");
    let RootKey::Exec { program, arguments, deadline } = &config.root_key else { panic!("exec") };
    assert_eq!((program.to_str(), arguments.len(), deadline.as_secs()), (Some("/usr/bin/op"), 2, 10));
    assert_eq!(config.audit, Audit { directory: "/srv/audit".into(), sync: AuditSync::Always });
    assert_eq!((config.limits.connections, config.limits.connections_per_user), (100, 50));
    assert_eq!(config.limits.idle_deadline, Duration::from_secs(300));
    assert_eq!(config.limits.org_keys, Bounds { most: 1000, idle: Duration::from_secs(3600) });
    assert_eq!(
        config.log,
        Log {
            level: LogLevel::Debug,
            levels: vec![("store", LogLevel::Trace), ("transport", LogLevel::Warn)],
            format: Some(LogFormat::Json),
        }
    );
    assert_eq!(config.memory, Memory { lock: Demand::Required, secret_pages: Demand::Preferred });
    assert_eq!(config.sandbox, Sandbox { landlock: Demand::Preferred });
    assert_eq!(config.providers[0].allowed_scopes, ["read:org", "repo:status"]);

    let peer = |uid, unit: Option<&str>| Peer { uid, gid: uid, pid: 1, unit: unit.map(Into::into) };
    let web = config.policy.identify(&peer(1000, Some("web.service"))).unwrap();
    assert_eq!((web.name.as_str(), web.rate.unwrap().burst()), ("web", 4000));
    assert_eq!(config.policy.identify(&peer(1000, None)), None);
    let worker = config.policy.identify(&peer(1001, None)).unwrap();
    let Among::Only(orgs) = &worker.orgs else { panic!("listed") };
    assert!(orgs.contains("acme"));
    let other = OrgId::parse("other").unwrap();
    assert_eq!(
        judge(worker, Action::TokenRead, Some(&other), Some(&config.providers[0].id)),
        Verdict::CrossOrg
    );
}

#[test]
fn plain_http_goes_to_this_host_for_development_alone() {
    let text = |environment: &str, endpoint: &str| {
        let aws = format!("source = 'aws-secrets-manager'\nsecret_id = 'tk/root'\nendpoint = '{endpoint}'\n");
        let text = LEAST.replace("source = \"file\"\npath = \"/run/keys/root.key\"\n", &aws);
        parse(&text.replace("production", environment))
    };
    for (environment, endpoint, is_fine) in [
        ("production", "https://vpce.example", true),
        ("production", "http://127.0.0.1:5000", false),
        ("development", "http://127.0.0.1:5000", true),
        ("development", "http://localhost", true),
        ("development", "http://secrets.example", false),
    ] {
        assert_eq!(text(environment, endpoint).is_ok(), is_fine, "{environment} {endpoint}");
    }
}

/// A client with everything but what the line says.
fn client(line: &str) -> String {
    let mut text = "[[client]]\n".to_owned();
    for (key, value) in [
        ("name", "\"web\""),
        ("unix", "{ user = \"webapp\" }"),
        ("orgs", "[\"*\"]"),
        ("providers", "[\"*\"]"),
        ("allow", "[\"token:read\"]"),
    ] {
        let is_replaced = line.split(" = ").next() == Some(key);
        text += &if is_replaced { format!("{line}\n") } else { format!("{key} = {value}\n") };
    }
    if !text.contains(line) {
        text += line;
    }
    text
}

/// What follows [`LEAST`], the line of the fault, and words of what is said.
fn bad_additions() -> Vec<(String, usize, &'static str)> {
    let written = [
        ("[log]\nlevle = 'ghs_canary'", 7, "unknown field `levle`"),
        ("[surprise]\na = 'ghs_canary'", 6, "unknown field `surprise`"),
        ("[log]\nlevel = 'ghs_canary'", 7, "no such level"),
        ("[log]\nlevel = 3", 7, "not what belongs here: expected a string"),
        ("[log]\nlevel = 'info'\nlevel = 'ghs_canary'", 8, "duplicate key"),
        ("[log\nlevel = 'ghs_canary'", 6, "unclosed table"),
        ("[log]\nlevel = \"ghs_canary", 7, "invalid basic string"),
        ("[log]\nformat = 'ghs_canary'", 7, "no such format"),
        ("[log]\n[log.levels]\nstroe = 'ghs_canary'", 8, "unknown field `stroe`"),
        ("[log]\nlevels = { store = 'ghs_canary' }", 7, "no such level"),
        ("[listen]\nunix = 'ghs_canary'", 7, "not an absolute path"),
        ("[listen]\nunix = '/run/../ghs_canary'", 7, "not an absolute path"),
        ("[listen]\nunix = '/a'\nadmin = '/a'", 8, "same socket"),
        ("[listen]\n[listen.mtls]\nkey = 'ghs_canary'", 7, "missing field `address`"),
        ("[backup]\nevery = 'ghs_canary'", 6, "nothing says where backups go"),
        ("[backup]\ndirectory = 'ghs_canary'", 7, "not an absolute path"),
        ("[backup]\ndirectory = '/b'", 6, "nobody could open the backups"),
        ("[backup]\ndirectory = '/b'\nrecipients = ['age1ghs_canary']", 8, "not a recipient of age"),
        ("[backup]\ndirectory = '/b'\nregion = 'ghs_canary'", 8, "a directory has none"),
        ("[backup]\nurl = 's3://GHS_canary'", 7, "not a bucket"),
        ("[backup]\nurl = 's3://ghs/../canary'", 7, "not a bucket"),
        ("[backup]\nurl = 's3://ghs-canary'", 7, "in which region"),
        ("[backup]\nurl = 's3://ghs-canary'\nregion = 'eu.evil'", 8, "not a region"),
        (
            "[backup]\nurl = 's3://ghs-canary'\nregion = 'us-east-1'\nallowed_regions = ['eu-west-1']",
            8,
            "allowed_regions",
        ),
        (
            "[backup]\nurl = 's3://ghs-canary'\nregion = 'eu-west-1'\nendpoint = 'http://b.example'",
            9,
            "plain text",
        ),
        ("[backup]\nurl = 's3://ghs-canary'\ndirectory = '/b'", 7, "both directory and url"),
        ("[memory]\nlock = 'ghs_canary'", 7, "not a demand"),
        ("[memory]\nsecret_pages = true", 7, "not what belongs here: expected a string"),
        ("[sandbox]\nlandlock = 'ghs_canary'", 7, "not a demand"),
        ("[memory]\nsecret_page = 'ghs_canary'", 7, "unknown field `secret_page`"),
        ("[audit]\ndirectory = 'ghs_canary'", 7, "not an absolute path"),
        ("[audit]\nsync = 'interval ghs_canary'", 7, "not a way to sync"),
        ("[audit]\nsync = 'interval 2s'", 7, "not a way to sync"),
        ("[audit]\nsync = 'interval 0ms'", 7, "not a way to sync"),
        ("[audit]\nsinks = ['ghs_canary']", 7, "sinks is not available"),
        ("[limits]\nconnections = 0", 7, "out of range"),
        ("[limits]\nconnections = -1", 7, "expected a whole number"),
        ("[limits]\nconnections = 10\nconnections_per_user = 11", 8, "use 1 to 10"),
        ("[limits]\nheader_deadline = 'ghs_canary'", 7, "not a span of time"),
        ("[limits]\nidle_deadline = '2h'", 7, "out of range"),
        ("[limits]\norg_keys = 0", 7, "out of range"),
        ("[limits]\norg_keys = 262145", 7, "out of range"),
        ("[limits]\norg_key_idle = '9s'", 7, "out of range"),
        ("[[provider]]\nid = 'ghs_canary'", 7, "a provider is 1 to 63 characters"),
        ("[[provider]]\nid = 'a'\n[[provider]]\nid = 'a'", 9, "two providers"),
        ("[[provider]]\nid = 'a'\nallowed_scopes = ['ghs_canary b']", 8, "not a scope"),
        ("[[provider]]\nid = 'a'\nclient_secrte = 'ghs_canary'", 8, "unknown field `client_secrte`"),
        ("[[client]]\nname = 'web'", 6, "missing field `orgs`"),
    ];
    let clients = [
        ("name = \"ghs_canary\"", 7, "not a name of a client"),
        ("name = \"admin\"", 7, "not a name of a client"),
        ("unix = { user = \"ghs_canary\" }", 8, "no such user"),
        ("unix = { user = [] }", 8, "expected a user name or a user id"),
        ("unix = { user = -1 }", 8, "no such user"),
        ("unix = { user = 0, unit = \"ghs_canary\" }", 8, "not a name of a service or scope"),
        ("unix = { unit = \"web.service\" }", 8, "missing field `user`"),
        ("unix = \"ghs_canary\"", 8, "expected a table"),
        ("orgs = []", 9, "without an org"),
        ("orgs = [\"*\", \"acme\"]", 9, "every one already"),
        ("orgs = [\"ghs_canary/\"]", 9, "an org is 1 to 128"),
        ("providers = [\"github\"]", 10, "not configured"),
        ("allow = []", 11, "without an action"),
        ("allow = [\"ghs_canary:read\"]", 11, "no such action"),
        ("allow = [\"*\", \"audit:read\"]", 11, "only admins"),
        ("allow = [\"key:*\"]", 11, "only admins"),
        ("require_pass = \"ghs_canary\"", 12, "expected a boolean"),
        ("mtls = { san = \"web.example\" }", 12, "there is no mTLS listener"),
        ("rate = { per_second = 0, burst = 1 }", 12, "not a rate"),
        ("rate = { per_second = 1 }", 12, "missing field `burst`"),
    ];
    let keys = [
        ("name = \"k\"\npath = \"/k\"\norgs = []", 9, "without an org"),
        ("name = \"k\"\npath = \"/k\"", 6, "missing field `orgs`"),
        ("name = \"k\"\npath = \"ghs_canary\"\norgs = [\"*\"]", 8, "not an absolute path"),
        ("name = \"k\"\ncredential = \"../ghs_canary\"\norgs = [\"*\"]", 8, "not a name of a credential"),
        ("name = \"k\"\norgs = [\"*\"]", 7, "has one place"),
        ("name = \"k\"\npath = \"/k\"\ncredential = \"k\"\norgs = [\"*\"]", 7, "has one place"),
        ("name = \"ghs_canary\"\npath = \"/k\"\norgs = [\"*\"]", 7, "a key name is 1 to 63"),
        ("name = \"k\"\npath = \"/k\"\norgs = [\"ghs_canary/\"]", 9, "an org is 1 to 128"),
        ("name = \"k\"\nkeys = [\"ghs_canary\"]\norgs = [\"*\"]", 8, "unknown field"),
    ];
    let keys = keys.map(|(text, line, words)| (format!("[[application_key]]\n{text}"), line, words));
    let written = written.into_iter().map(|(text, line, words)| (text.to_owned(), line, words)).chain(keys);
    let clients = clients.into_iter().map(|(text, line, words)| (client(text), line, words));
    written.chain(clients).collect()
}

#[test]
fn bad_files_are_refused_with_line_and_mend_and_without_their_values() {
    for (text, line, words) in bad_additions() {
        let error = parse(&format!("{LEAST}{text}\n")).expect_err(&text);
        let said = error.to_string();
        let ConfigError::Text(fault) = &error else { panic!("{said}") };
        assert_eq!(fault.at.map(|(line, _)| line), Some(line), "{text}\n{said}");
        assert!(said.contains(words), "{text}\n{said}");
        assert!(!said.contains(CANARY), "{text}\n{said}");
        assert!(!fault.mend.is_empty() && error.exit() == Exit::Configuration);
    }
}

#[test]
fn bad_roots_are_refused_likewise() {
    let root_key = |lines: &str| LEAST.replace("source = \"file\"\npath = \"/run/keys/root.key\"\n", lines);
    for (text, line, words) in [
        (String::new(), Some(1), "missing field `environment`"),
        (LEAST.replace("production", "Production ghs_canary"), Some(1), "not a name of an environment"),
        (LEAST.replace("/var/lib", "ghs_canary"), Some(2), "not an absolute path"),
        (root_key("source = 'ghs_canary'"), Some(4), "no such source"),
        (
            root_key("source = 'azure-key-vault'\nregion = 'ghs_canary'"),
            Some(4),
            "not available in this version",
        ),
        (root_key("source = 'aws-secrets-manager'\nregion = 'eu-west-1'"), Some(4), "lacks secret_id"),
        (
            root_key("source = 'aws-secrets-manager'\nsecret_id = 'ghs canary'"),
            Some(5),
            "not a secret of AWS",
        ),
        (
            root_key("source = 'aws-secrets-manager'\nsecret_id = 'a'\nregion = 'ghs_canary'"),
            Some(6),
            "not a region",
        ),
        (
            root_key("source = 'aws-secrets-manager'\nsecret_id = 'a'\nendpoint = 'ghs_canary'"),
            Some(6),
            "not an address",
        ),
        (
            root_key("source = 'aws-secrets-manager'\nsecret_id = 'a'\nendpoint = 'http://127.0.0.1'"),
            Some(6),
            "in plain text",
        ),
        (
            root_key("source = 'aws-secrets-manager'\nsecret_id = 'a'\npath = '/ghs_canary'"),
            Some(6),
            "path does not belong",
        ),
        (root_key("source = 'openbao'\npath = 'a'"), Some(4), "lacks address"),
        (root_key("source = 'openbao'\naddress = 'https://b'"), Some(5), "lacks path"),
        (root_key("source = 'openbao'\naddress = 'https://b'\npath = 'a'"), Some(5), "as whom to ask"),
        (
            root_key("source = 'openbao'\naddress = 'http://b'\npath = 'a'\ntoken.file = '/ghs_canary'"),
            Some(5),
            "in plain text",
        ),
        (
            root_key("source = 'openbao'\naddress = 'https://b'\npath = '../ghs_canary'\ntoken.file = '/t'"),
            Some(6),
            "not a path of OpenBao",
        ),
        (
            root_key("source = 'openbao'\naddress = 'https://b'\npath = 'a'\ntoken = 'ghs_canary'"),
            Some(7),
            "expected a table with file or credential",
        ),
        (
            root_key("source = 'openbao'\naddress = 'https://b'\npath = 'a'\ntoken = {}"),
            Some(7),
            "not one place where it is held",
        ),
        (
            root_key(
                "source = 'openbao'\naddress = 'https://b'\npath = 'a'\ntoken.file = '/ghs_canary'\n\
                 app_role = { role_id = 'a', secret_id = { file = '/b' } }",
            ),
            Some(7),
            "both token and app_role",
        ),
        (
            root_key(
                "source = 'openbao'\naddress = 'https://b'\npath = 'a'\n\
                 app_role = { role_id = 'ghs canary', secret_id = { file = '/b' } }",
            ),
            Some(7),
            "not the id of a role",
        ),
        (root_key("source = 'file'"), Some(4), "lacks path"),
        (root_key("source = 'file'\npath = 'ghs_canary'"), Some(5), "not an absolute path"),
        (root_key("source = 'file'\nname = 'ghs_canary'"), Some(5), "name does not belong"),
        (
            root_key("source = 'systemd-credential'\nname = '../ghs_canary'"),
            Some(5),
            "not a name of a credential",
        ),
        (root_key("source = 'exec'\ncommand = []"), Some(5), "no program"),
        (root_key("source = 'exec'\ncommand = ['op', 'ghs_canary']"), Some(5), "not a command"),
        (root_key("source = 'exec'\ncommand = ['/op']\ndeadline = '1h'"), Some(6), "out of range"),
        (format!("{LEAST}{}{}", client(""), client("")), Some(13), "two clients have this name"),
        (
            format!("{LEAST}{}\n{}", client(""), client("name = \"other\"")),
            Some(14),
            "the client web has the same user and unit",
        ),
        (format!("{LEAST}{}", client("").replace("unix =", "# unix =")), Some(7), "nothing says who is this"),
    ] {
        let said = parse(&text).expect_err(&text).to_string();
        assert!(said.contains(words) && !said.contains(CANARY), "{text}\n{said}");
        let place = line.map(|line| format!("t.toml:{line}:")).unwrap_or_default();
        assert!(said.starts_with(&place), "{text}\n{said}");
    }
    let latin = [LEAST.as_bytes(), b"# caf\xe9 ghs_canary\n"].concat();
    let error = Config::parse(&latin, Path::new("t.toml"), &user::resolve).unwrap_err();
    assert!(error.to_string().starts_with("t.toml:6:6: not UTF-8"), "{error}");
}

#[test]
fn a_file_that_others_can_change_is_refused_for_safety() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.toml");
    std::fs::write(&path, LEAST).unwrap();
    for (mode, exit) in [(0o666, Some(Exit::Unsafe)), (0o620, Some(Exit::Unsafe)), (0o644, None)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(Config::load(&path, &user::resolve).err().map(|error| error.exit()), exit, "{mode:o}");
    }
    let absent = Config::load(&directory.path().join("none"), &user::resolve).unwrap_err();
    assert_eq!(absent.exit(), Exit::Configuration);
}

#[test]
fn root_runs_the_daemon_for_development_alone() {
    let production = parse(LEAST).unwrap();
    assert!(production.judge_user(1000).is_ok());
    let refused = production.judge_user(0).unwrap_err();
    assert_eq!(refused.exit(), Exit::Unsafe);
    assert!(refused.to_string().contains("User="));
    let development = parse(&LEAST.replace("production", "development")).unwrap();
    assert!(development.judge_user(0).is_ok());
}

#[test]
fn a_build_that_lacks_something_runs_for_development_alone() {
    let lacking = || vec!["sandbox", "wiped-io"];
    let production = parse(LEAST).unwrap();
    assert!(production.judge_build(Vec::new()).is_ok());
    let refused = production.judge_build(lacking()).unwrap_err();
    assert_eq!(refused.exit(), Exit::Unsafe);
    assert!(refused.to_string().contains("lacks sandbox, wiped-io;"), "{refused}");
    assert!(parse(&LEAST.replace("production", "development")).unwrap().judge_build(lacking()).is_ok());
}

#[test]
fn a_directory_for_development_is_made_once_and_found_again() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join(r#"a "quoted" \ näme"#);
    let made = Config::development(&directory, &user::resolve).unwrap();
    let mode = |name: &str| std::fs::metadata(directory.join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(
        [mode(""), mode("state"), mode("root.key"), mode("tokenkeep.toml")],
        [0o700, 0o700, 0o600, 0o600]
    );
    let key = std::fs::read(directory.join("root.key")).unwrap();
    assert_eq!(key.len(), 45);
    assert!(made.any_provider && made.environment == DEVELOPMENT);
    assert_eq!(made.listen.admin, directory.canonicalize().unwrap().join("admin.sock"));
    let ours = Peer { uid: user::effective(), gid: 0, pid: 1, unit: None };
    assert_eq!(made.policy, Policy::development(ours.uid));
    let others = Peer { uid: ours.uid + 1, ..ours };
    assert_eq!(made.policy.identify(&others), None);
    let text = made.root_key.source(&made.door, None).unwrap().read().unwrap();
    assert_eq!(text.as_slice(), key);

    assert_eq!(Config::development(&directory, &user::resolve).unwrap(), made);
    // Begun, and cut off before the file was written: the key stays.
    std::fs::remove_file(directory.join("tokenkeep.toml")).unwrap();
    assert_eq!(Config::development(&directory, &user::resolve).unwrap(), made);
    assert_eq!(std::fs::read(directory.join("root.key")).unwrap(), key);
}

#[test]
fn a_directory_of_production_is_not_taken_for_development() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("dev");
    Config::development(&directory, &user::resolve).unwrap();
    let file = directory.join("tokenkeep.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"development\"", "\"production\"")).unwrap();
    let refused = Config::development(&directory, &user::resolve).unwrap_err();
    assert!(refused.to_string().contains("--config"), "{refused}");
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(Config::development(&directory, &user::resolve).unwrap_err().exit(), Exit::Unsafe);
}

proptest::proptest! {
    #[test]
    fn whatever_the_bytes_the_answer_is_a_config_or_a_fault(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        cut in 0..LEAST.len(),
    ) {
        let users = |_: &str| Err(UserError::Unknown);
        let _ = Config::parse(&bytes, Path::new("t"), &users);
        let mixed = [&LEAST.as_bytes()[..cut], &bytes, &LEAST.as_bytes()[cut..]].concat();
        if let Err(error) = Config::parse(&mixed, Path::new("t"), &users) {
            proptest::prop_assert!(!error.to_string().is_empty());
        }
    }
}

/// The page is what people write from.
#[test]
fn the_page_describes_what_is_read() {
    let page = include_str!("../../../docs/configuration.md");
    let (_, rest) = page.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let users = |name: &str| if name == "webapp" { Ok(1000) } else { user::resolve(name) };
    let config = Config::parse(example.as_bytes(), Path::new("page"), &users).unwrap();
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.log, Log::default());
    assert_eq!(config.audit.sync, AuditSync::Interval(Duration::from_millis(50)));
    for action in Action::ALL.iter().filter(|&&action| is_grantable(action)) {
        assert!(page.contains(&format!("`{action}`")), "docs/configuration.md lacks {action}");
    }
}

#[test]
fn an_area_of_the_log_is_a_layer_that_logs() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let logs = |layer: &Path| -> bool {
        let text = |file: PathBuf| std::fs::read_to_string(file).unwrap_or_default();
        let mut open = vec![layer.to_owned()];
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if text(path).contains("tracing::") {
                    return true;
                }
            }
        }
        false
    };
    for layer in std::fs::read_dir(src).unwrap() {
        let layer = layer.unwrap().path();
        let name = layer.file_name().unwrap().to_str().unwrap();
        // The command line is another program.
        if layer.is_dir() && name != "cli" && logs(&layer) {
            assert!(super::written::AREAS.contains(&name), "[log.levels] lacks {name}");
        }
    }
}
