//! Configurations of the daemon under test, as text.

use std::path::Path;

/// A user that nobody is.
pub const NOBODY_S_UID: u32 = 4_000_000_000;

/// The other user of the tests: `nobody` on most hosts, unless the tests run as that one.
pub fn other_uid() -> u32 {
    if super::own_uid() == 65534 { 65533 } else { 65534 }
}

/// A `[[client]]`.
#[derive(Debug, Clone)]
pub struct Client {
    pub name: &'static str,
    pub uid: u32,
    /// The name in its certificate.
    pub san: Option<&'static str>,
    pub orgs: &'static [&'static str],
    pub providers: &'static [&'static str],
    pub allow: &'static [&'static str],
    pub require_pass: bool,
    pub rate: Option<(u32, u32)>,
}

impl Client {
    /// The tests' own user may do everything.
    pub fn own() -> Self {
        Self {
            name: "app",
            uid: super::own_uid(),
            san: None,
            orgs: &["*"],
            providers: &["*"],
            allow: &["*"],
            require_pass: false,
            rate: None,
        }
    }

    fn text(&self) -> String {
        let Self { name, uid, san, orgs, providers, allow, require_pass, rate } = self;
        let rate = rate.map_or(String::new(), |(per_second, burst)| {
            format!("rate = {{ per_second = {per_second}, burst = {burst} }}\n")
        });
        let san = san.map_or(String::new(), |san| format!("mtls = {{ san = \"{san}\" }}\n"));
        format!(
            "[[client]]\nname = \"{name}\"\nunix = {{ user = {uid} }}\n{san}orgs = {orgs:?}\n\
             providers = {providers:?}\nallow = {allow:?}\nrequire_pass = {require_pass}\n{rate}\n"
        )
    }
}

/// What differs from test to test.
#[derive(Debug, Clone)]
pub struct Configuration {
    pub environment: &'static str,
    pub clients: Vec<Client>,
    /// Lines of `[listen.mtls]` beside address and files, `ROOM` being the room; no listener where there are none.
    pub mtls: Option<&'static str>,
    /// Lines of `[root_key]` beside source and path.
    pub root_key: &'static str,
    /// Lines of `[limits]`.
    pub limits: &'static str,
    /// Lines of `[log]`.
    pub log: &'static str,
    /// Lines of `[memory]`. Whoever runs the tests may not be allowed to lock what a daemon of production must.
    pub memory: &'static str,
    /// Lines at the end.
    pub more: &'static str,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            environment: "development",
            clients: vec![Client::own()],
            mtls: None,
            root_key: "wait = \"0s\"",
            limits: "",
            log: "",
            memory: "lock = \"preferred\"\nsecret_pages = \"preferred\"",
            more: "",
        }
    }
}

impl Configuration {
    /// The file. Three providers: two that take any scope, one that takes `read` alone.
    pub fn text(&self, room: &Path, state: &Path) -> String {
        let clients: String = self.clients.iter().map(Client::text).collect();
        let Self { environment, mtls, root_key, limits, log, memory, more, .. } = self;
        let (room, state) = (room.display(), state.display());
        let mtls = mtls.map_or(String::new(), |more| {
            let more = more.replace("ROOM", &room.to_string());
            format!(
                "[listen.mtls]\naddress = \"127.0.0.1:0\"\ncertificate = \"{room}/server.crt\"\n\
                 key = \"{room}/server.key\"\nclient_ca = \"{room}/clients-ca.crt\"\n{more}\n\n"
            )
        });
        format!(
            "environment = \"{environment}\"\nstate_directory = \"{state}\"\n\n\
             [listen]\nunix = \"{room}/app.sock\"\nadmin = \"{room}/admin.sock\"\n\n{mtls}\
             [root_key]\nsource = \"file\"\npath = \"{room}/root.key\"\n{root_key}\n\n\
             {clients}\
             [[provider]]\nid = \"github\"\n\n[[provider]]\nid = \"slack\"\n\n\
             [[provider]]\nid = \"narrow\"\nallowed_scopes = [\"read\"]\n\n\
             [limits]\n{limits}\n\n[log]\n{log}\n\n[memory]\n{memory}\n\n[sandbox]\nlandlock = \"preferred\"\n\n{more}\n"
        )
    }
}
