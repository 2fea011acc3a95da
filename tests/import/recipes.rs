//! The recipes of docs/moving-in.md, run as they stand: the files that a section shows are written, what goes before
//! is made ready by a script beside this file, and then the commands of the section are run in their order.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::daemon::Place;
use crate::postgres::{Postgres, said};
use crate::python;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/moving-in.md");
const READY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/import/recipes");

#[test]
fn the_recipe_for_django_works_as_it_stands() {
    follow("Django", "django.sh", "accounts_oauthaccount");
}

#[test]
fn the_recipe_for_sqlalchemy_works_as_it_stands() {
    follow("FastAPI and SQLAlchemy", "sqlalchemy.sh", "oauth_accounts");
}

fn follow(title: &str, ready: &str, table: &str) {
    let (postgres, scratch) = (Postgres::start(), tempfile::tempdir().unwrap());
    let place = Place::new(scratch.path());
    let daemon = place.start().unwrap();
    let page = fs::read_to_string(PAGE).unwrap();
    let section = page.split("\n## ").find(|section| section.starts_with(&format!("{title}\n"))).unwrap();
    let project = scratch.path().join("project");
    fs::create_dir(&project).unwrap();
    for file in blocks(section, "python") {
        let name = file.lines().next().unwrap().strip_prefix("# ").unwrap();
        let path = project.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    let mut script = format!(". {READY}/{ready}\n");
    script.extend(blocks(section, "sh"));
    let told = said(bash(&postgres, &place, &project, &script).output().unwrap());
    assert!(told.contains("would do") && told.contains("created     20\n"), "{told}");
    assert!(told.ends_with("20 tokens are the same\n"), "{told}");

    let columns = format!(
        "COPY (SELECT count(*) FROM information_schema.columns WHERE table_name = '{table}' AND column_name \
         LIKE '%token') TO STDOUT"
    );
    assert_eq!(said(postgres.psql(&columns).output().unwrap()), "0\n", "the columns are gone");
    let path = "/v1/orgs/org-3/connections/github/user:3/";
    for (what, token) in [("token", "gho_3"), ("refresh-token", "ghr_3")] {
        let read = daemon.application().ask("GET", &format!("{path}{what}"), &["Accept: text/plain"], "");
        assert_eq!(String::from_utf8(read.unwrap().body).unwrap(), token);
    }
}

fn bash(postgres: &Postgres, place: &Place, project: &Path, script: &str) -> Command {
    let mut command = postgres.command("bash");
    let programs = Path::new(env!("CARGO_BIN_EXE_tokenkeep")).parent().unwrap();
    let python = fs::canonicalize(which(&python()).parent().unwrap()).unwrap();
    let path = std::env::var("PATH").unwrap();
    command
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(project)
        .env("PATH", format!("{}:{}:{path}", programs.display(), python.display()))
        .env("TOKENKEEP_ADMIN", format!("unix://{}", place.admin_socket().display()))
        .env("TOKENKEEP_SOCKET", place.socket());
    command
}

fn which(program: &str) -> std::path::PathBuf {
    let places = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&places).map(|place| place.join(program));
    places.find(|place| place.exists()).unwrap_or_else(|| program.into())
}

/// The fenced blocks of a language.
fn blocks(section: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    let parts = section.split("\n```").collect::<Vec<_>>();
    let bodies =
        parts.iter().filter_map(|part| format!("```{part}").strip_prefix(&opening).map(str::to_owned));
    bodies.map(|body| body + "\n").collect()
}
