//! The configuration file: what was understood is written again, and is understood the same.
//!
//! Never asks this host who its users are.

mod provider;
mod root_key;

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use tokenkeep::daemon::config::{
    ApplicationKey, AuditSync, Config, KeyPlace, Log, LogFormat, LogLevel, Mtls, RootKey, TlsKey,
};
use tokenkeep::domain::action::Action;
use tokenkeep::domain::policy::{Among, Client};
use tokenkeep::net::server::Version;
use tokenkeep::os::user::UserError;

/// A configuration, written in full, is the same configuration. A fault can always be shown.
pub fn configuration(data: &[u8]) {
    let file = Path::new("/etc/tokenkeep/tokenkeep.toml");
    match Config::parse(data, file, &resolve) {
        Ok(config) => {
            let written = write(&config);
            let again = Config::parse(written.as_bytes(), file, &resolve);
            assert_eq!(again.expect("the same configuration"), config);
        }
        Err(why) => {
            let (shown, _exit) = (why.to_string(), why.exit());
            assert!(!shown.is_empty());
        }
    }
}

/// A host on which few users live.
fn resolve(name: &str) -> Result<u32, UserError> {
    match name {
        "web" => Ok(1000),
        "jobs" => Ok(1001),
        _ => name.parse().ok().filter(|uid| *uid != u32::MAX).ok_or(UserError::Unknown),
    }
}

fn write(config: &Config) -> String {
    let mut out = format!(
        "environment = {}\nstate_directory = {}\n[listen]\n",
        text(&config.environment),
        path(&config.state_directory),
    );
    let listen = &config.listen;
    let sockets =
        [("unix", &listen.unix, listen.written.unix), ("admin", &listen.admin, listen.written.admin)];
    for (name, at, _) in sockets.iter().filter(|(.., is_written)| *is_written) {
        add(&mut out, format_args!("{name} = {}\n", path(at)));
    }
    if let Some(mtls) = &config.listen.mtls {
        write_mtls(&mut out, mtls);
    }
    write_root_key(&mut out, config);
    for provider in &config.providers {
        add(&mut out, format_args!("{}", provider::provider(provider)));
    }
    for client in config.policy.clients() {
        write_client(&mut out, client);
    }
    for key in &config.application_keys {
        write_application_key(&mut out, key);
    }
    let sync = match config.audit.sync {
        AuditSync::Always => "always".to_owned(),
        AuditSync::Interval(interval) => format!("interval {}", span(interval)),
    };
    let directory = path(&config.audit.directory);
    add(&mut out, format_args!("[audit]\ndirectory = {directory}\nsync = \"{sync}\"\n"));
    write_limits(&mut out, config);
    out
}

fn write_application_key(out: &mut String, key: &ApplicationKey) {
    let place = match &key.place {
        KeyPlace::Credential { name } => format!("credential = {}", text(name)),
        KeyPlace::File { path: at } => format!("path = {}", path(at)),
    };
    let (name, orgs) = (text(key.name.as_str()), among(&key.orgs, |org| org.as_str()));
    add(out, format_args!("[[application_key]]\nname = {name}\n{place}\norgs = [{orgs}]\n"));
}

fn write_mtls(out: &mut String, mtls: &Mtls) {
    let key = match &mtls.key {
        TlsKey::Credential(name) => format!("{{ credential = {} }}", text(name)),
        TlsKey::File(at) => path(at),
    };
    let (certificate, client_ca) = (path(&mtls.certificate), path(&mtls.client_ca));
    let (address, minimum) = (mtls.address, if mtls.minimum == Version::Tls12 { "1.2" } else { "1.3" });
    add(
        out,
        format_args!(
            "[listen.mtls]\naddress = \"{address}\"\ncertificate = {certificate}\nkey = {key}\n\
             client_ca = {client_ca}\nminimum_version = \"{minimum}\"\n"
        ),
    );
    if let Some(crl) = &mtls.crl {
        add(out, format_args!("crl = {}\n", path(crl)));
    }
}

fn write_root_key(out: &mut String, config: &Config) {
    let source = match &config.root_key {
        RootKey::AwsSecretsManager(settings) => root_key::aws(settings),
        RootKey::OpenBao(settings) => root_key::openbao(settings),
        RootKey::Exec { program, arguments, deadline } => {
            let words = std::iter::once(path(program)).chain(arguments.iter().map(|word| text(word)));
            let words: Vec<String> = words.collect();
            let deadline = span(*deadline);
            format!("source = \"exec\"\ncommand = [{}]\ndeadline = \"{deadline}\"", words.join(", "))
        }
        RootKey::File { path: at } => format!("source = \"file\"\npath = {}", path(at)),
        RootKey::SystemdCredential { name } => {
            format!("source = \"systemd-credential\"\nname = {}", text(name))
        }
    };
    add(out, format_args!("[root_key]\n{source}\nwait = \"{}\"\n", span(config.root_key_wait)));
}

fn write_client(out: &mut String, client: &Client) {
    let actions = Action::ALL.iter().filter(|action| client.allow.contains(**action));
    let actions: Vec<String> = actions.map(|action| text(action.as_str())).collect();
    add(
        out,
        format_args!(
            "[[client]]\nname = {}\norgs = [{}]\nproviders = [{}]\nallow = [{}]\nrequire_pass = {}\n",
            text(&client.name),
            among(&client.orgs, |org| org.as_str()),
            among(&client.providers, |provider| provider.as_str()),
            actions.join(", "),
            client.require_pass,
        ),
    );
    if let Some(unix) = &client.unix {
        let unit = unix.unit.as_ref().map_or_else(String::new, |unit| format!(", unit = {}", text(unit)));
        add(out, format_args!("unix = {{ user = {}{unit} }}\n", unix.uid));
    }
    if let Some(san) = &client.san {
        add(out, format_args!("mtls = {{ san = {} }}\n", text(san.as_str())));
    }
    if let Some(rate) = client.rate {
        let (per_second, burst) = (rate.per_second(), rate.burst());
        add(out, format_args!("rate = {{ per_second = {per_second}, burst = {burst} }}\n"));
    }
}

fn write_limits(out: &mut String, config: &Config) {
    let limits = &config.limits;
    add(
        out,
        format_args!(
            "[limits]\nconnections = {}\nconnections_per_user = {}\nheader_deadline = \"{}\"\n\
             body_deadline = \"{}\"\nidle_deadline = \"{}\"\n",
            limits.connections,
            limits.connections_per_user,
            span(limits.header_deadline),
            span(limits.body_deadline),
            span(limits.idle_deadline),
        ),
    );
    write_log(out, &config.log);
}

fn write_log(out: &mut String, log: &Log) {
    add(out, format_args!("[log]\nlevel = \"{}\"\n", level(log.level)));
    if let Some(format) = log.format {
        let format = match format {
            LogFormat::Journald => "journald",
            LogFormat::Json => "json",
            LogFormat::Text => "text",
        };
        add(out, format_args!("format = \"{format}\"\n"));
    }
    add(out, format_args!("[log.levels]\n"));
    for (area, one) in &log.levels {
        add(out, format_args!("{area} = \"{}\"\n", level(*one)));
    }
}

fn level(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Error => "error",
        LogLevel::Info => "info",
        LogLevel::Trace => "trace",
        LogLevel::Warn => "warn",
    }
}

fn add(out: &mut String, piece: std::fmt::Arguments<'_>) {
    out.write_fmt(piece).expect("memory takes it");
}

fn among<T>(set: &Among<T>, name: impl Fn(&T) -> &str) -> String {
    match set {
        Among::Every => text("*"),
        Among::Only(listed) => listed.iter().map(|one| text(name(one))).collect::<Vec<String>>().join(", "),
    }
}

fn path(path: &Path) -> String {
    text(path.to_str().expect("it came out of UTF-8"))
}

/// A basic string: that of JSON, except for DEL (toml.io/en/v1.0.0, "String").
fn text(text: &str) -> String {
    serde_json::to_string(text).expect("a text").replace('\u{7f}', "\\u007F")
}

fn span(span: Duration) -> String {
    format!("{}s {}ns", span.as_secs(), span.subsec_nanos())
}
