//! A vault that makes backups, and the command line that brings one back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::kit::vault::write_private;
use crate::kit::{Configuration, Request, TestVault, poll};

/// The key of 32 bytes of 0x42, and its public half.
pub(super) const IDENTITY: &str =
    "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
pub(super) const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

pub(super) struct BackedUp {
    pub(super) vault: TestVault,
    /// Where the backups are: not with the vault.
    pub(super) shelf: TempDir,
    identity: PathBuf,
    from: Vec<String>,
    variables: Vec<(String, String)>,
}

impl BackedUp {
    pub(super) fn running() -> Self {
        Self::with("")
    }

    /// With these lines beside.
    pub(super) fn with(more: &str) -> Self {
        let shelf = tempfile::Builder::new().prefix("tk").tempdir().expect("a directory");
        let directory = shelf.path().join("backups");
        fs::create_dir(&directory).expect("a directory");
        let from = directory.display().to_string();
        let place = format!("directory = \"{from}\"\n{more}");
        Self::at(shelf, &place, vec!["--from".into(), from], &[])
    }

    /// With these lines of `[backup]`, these words that lead a restore there, and these variables for both.
    pub(super) fn at(shelf: TempDir, place: &str, from: Vec<String>, variables: &[(&str, &str)]) -> Self {
        let identity = shelf.path().join("identity.txt");
        write_private(&identity, format!("# offline\n{IDENTITY}\n").as_bytes());
        let lines = format!("[backup]\nrecipients = [\"{RECIPIENT}\"]\nship = \"1s\"\n{place}");
        let configuration = Configuration { more: lines.leak(), ..Configuration::default() };
        let mut vault = TestVault::stopped(configuration);
        let variables: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        vault.dowry.variables.extend(variables.iter().map(|(name, value)| (name.clone(), value.into())));
        vault.start();
        let backed_up = Self { vault, shelf, identity, from, variables };
        backed_up.wait_for_all();
        backed_up
    }

    pub(super) fn backups(&self) -> PathBuf {
        self.shelf.path().join("backups")
    }

    pub(super) fn list(&self) -> Value {
        self.vault.admin().get("/admin/v1/backups").is(200).json()
    }

    /// How far the journal of the live vault is.
    pub(super) fn sequence(&self) -> u64 {
        let status = self.vault.get("/v1/status").is(200).json();
        status["store"]["sequence"].as_u64().expect("a sequence")
    }

    /// Waits until all that has happened is in the backup.
    pub(super) fn wait_for_all(&self) -> Value {
        let sequence = self.sequence();
        poll("the backup to have it all", || {
            let list = self.list();
            // Those of an earlier life may be longer.
            let newest = list["items"].as_array()?.iter().find(|set| set["set"] == list["set"])?.clone();
            (newest["sequence"].as_u64()? >= sequence).then_some(newest)
        })
    }

    /// Asks for a task, and waits until it has ended.
    pub(super) fn task(&self, what: &str) -> Value {
        let last = |list: &Value| {
            let runs = list["last"].as_array().cloned().unwrap_or_default();
            runs.into_iter().find(|run| run["what"] == what)
        };
        let number = |run: Option<Value>| run.map_or(0, |run| run["number"].as_u64().expect("a number"));
        let before = number(last(&self.list()));
        let path =
            if what == "create" { "/admin/v1/backups".into() } else { format!("/admin/v1/backups/{what}") };
        self.vault.admin().send(&Request::new("POST", path)).is(202);
        poll("the end of the task", || last(&self.list()).filter(|run| number(Some(run.clone())) > before))
    }

    /// `tokenkeep backup restore` with these words, into this directory.
    pub(super) fn restore(&self, into: &Path, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_tokenkeep"))
            .args(["backup", "restore"])
            .args(&self.from)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .arg("--identity")
            .arg(&self.identity)
            .arg("--file")
            .arg(self.vault.root_key_file())
            .arg("--into")
            .arg(into)
            .args(words)
            .output()
            .expect("the command line runs")
    }

    /// The machine is gone: the daemon is killed and its state removed.
    pub(super) fn lose(&mut self) {
        self.vault.kill9();
        fs::remove_dir_all(self.vault.state()).expect("removed");
    }

    /// Restores to where the state was, and starts on it.
    pub(super) fn come_back(&mut self, words: &[&str]) {
        let state = self.vault.state().to_owned();
        let told = self.restore(&state, words);
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        self.vault.start();
    }

    /// Every object and manifest there is.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut left = vec![self.backups()];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() { left.push(path) } else { found.push(path) }
            }
        }
        found.sort();
        found
    }
}

/// This second, by the clock that the daemon has too.
pub(super) fn now() -> String {
    humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string()
}

/// Waits until that second is over.
pub(super) fn outlive(second: &str) {
    poll("the second to pass", || (now().as_str() > second).then_some(()));
}
