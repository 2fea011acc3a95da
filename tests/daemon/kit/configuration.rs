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
            orgs: &["*"],
            providers: &["*"],
            allow: &["*"],
            require_pass: false,
            rate: None,
        }
    }

    fn text(&self) -> String {
        let Self { name, uid, orgs, providers, allow, require_pass, rate } = self;
        let rate = rate.map_or(String::new(), |(per_second, burst)| {
            format!("rate = {{ per_second = {per_second}, burst = {burst} }}\n")
        });
        format!(
            "[[client]]\nname = \"{name}\"\nunix = {{ user = {uid} }}\norgs = {orgs:?}\n\
             providers = {providers:?}\nallow = {allow:?}\nrequire_pass = {require_pass}\n{rate}\n"
        )
    }
}

/// What differs from test to test.
#[derive(Debug, Clone)]
pub struct Configuration {
    pub environment: &'static str,
    pub clients: Vec<Client>,
    /// Lines of `[root_key]` beside source and path.
    pub root_key: &'static str,
    /// Lines of `[limits]`.
    pub limits: &'static str,
    /// Lines of `[log]`.
    pub log: &'static str,
    /// Lines at the end.
    pub more: &'static str,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            environment: "development",
            clients: vec![Client::own()],
            root_key: "wait = \"0s\"",
            limits: "",
            log: "",
            more: "",
        }
    }
}

impl Configuration {
    /// The file. Three providers: two that take any scope, one that takes `read` alone.
    pub fn text(&self, room: &Path, state: &Path) -> String {
        let clients: String = self.clients.iter().map(Client::text).collect();
        let Self { environment, root_key, limits, log, more, .. } = self;
        let (room, state) = (room.display(), state.display());
        format!(
            "environment = \"{environment}\"\nstate_directory = \"{state}\"\n\n\
             [listen]\nunix = \"{room}/app.sock\"\nadmin = \"{room}/admin.sock\"\n\n\
             [root_key]\nsource = \"file\"\npath = \"{room}/root.key\"\n{root_key}\n\n\
             {clients}\
             [[provider]]\nid = \"github\"\n\n[[provider]]\nid = \"slack\"\n\n\
             [[provider]]\nid = \"narrow\"\nallowed_scopes = [\"read\"]\n\n\
             [limits]\n{limits}\n\n[log]\n{log}\n\n{more}\n"
        )
    }
}
