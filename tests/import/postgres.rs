//! A PostgreSQL of the tests' own: a cluster in a scratch directory, on a Unix socket there and no port.
//!
//! PostgreSQL refuses to run as root; there it runs as `nobody`, who must reach its directory.
//!
//! Never touches a cluster of the host.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub struct Postgres {
    room: tempfile::TempDir,
    programs: PathBuf,
}

impl Postgres {
    pub fn start() -> Self {
        let room = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        fs::set_permissions(room.path(), Permissions::from_mode(0o711)).unwrap();
        let postgres = Self { room, programs: programs() };
        fs::create_dir(postgres.home()).unwrap();
        if is_root() {
            std::os::unix::fs::chown(postgres.home(), Some(65534), Some(65534)).unwrap();
        }
        let data = postgres.data();
        let initdb =
            ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"];
        postgres.run("initdb", &[&["-D", &data], &initdb[..]].concat());
        // What becomes of PostgreSQL's own durability is not tested here.
        let socket =
            format!("-c listen_addresses= -c unix_socket_directories={} -c fsync=off", postgres.home());
        let log = format!("{}/log", postgres.home());
        postgres.run("pg_ctl", &["-D", &data, "-l", &log, "-o", &socket, "-w", "start"]);
        postgres
    }

    /// For `PGHOST`.
    pub fn home(&self) -> String {
        self.room.path().join("pg").display().to_string()
    }

    /// A command whose environment names this server.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("PGHOST", self.home()).env("PGUSER", "postgres").env("PGDATABASE", "postgres");
        command.env("PGOPTIONS", "-c client_min_messages=warning").env_remove("PGPORT");
        command
    }

    /// `psql` that runs this.
    pub fn psql(&self, sql: &str) -> Command {
        let mut command = self.command("psql");
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        command
    }

    fn data(&self) -> String {
        format!("{}/data", self.home())
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let path = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        // A server that keeps our stdout open would keep who waits for its end waiting.
        let done =
            command.args(arguments).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).status();
        assert!(done.unwrap().success(), "{program} {arguments:?}");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let data = self.data();
        self.run("pg_ctl", &["-D", &data, "-m", "immediate", "stop"]);
    }
}

/// What a command says, which must succeed.
pub fn said(output: Output) -> String {
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {out}{err}", output.status);
    out
}

/// Debian keeps the server's programs out of the path.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    found.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    found.retain(|directory| directory.join("initdb").exists());
    found.into_iter().next().expect("there is no PostgreSQL: apt-get install postgresql")
}

fn is_root() -> bool {
    fs::metadata(Path::new("/proc/self")).unwrap().uid() == 0
}
