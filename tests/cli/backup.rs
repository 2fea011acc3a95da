//! `backup`.

use crate::kit::{Daemon, problem};
use crate::tokenkeep;

#[test]
fn where_none_are_configured_each_command_says_how() {
    let daemon = Daemon::start(|asked| match asked.line.as_str() {
        "GET /admin/v1/backups" => problem("not_found", 404, "no backups are configured"),
        other => panic!("{other}"),
    });
    for command in ["list", "create", "drill", "verify"] {
        tokenkeep(&daemon, &format!("backup {command}")).fails(
            1,
            "\
error: no backups are configured (request r-1)
mend: give the configuration a [backup] with a place and recipients, and restart the daemon: docs/backup.md
",
        );
    }
}
