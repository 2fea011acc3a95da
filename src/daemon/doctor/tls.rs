//! What is wrong with the mTLS listener: files that end, and files that were not taken.
//!
//! A certificate of an hour and one of a year are both due when three quarters of their life are over.

use std::time::SystemTime;

use tokenkeep_client::wire::Finding;

use super::{fail, ok, warn};
use crate::net::server::{Condition, Life};

pub(super) fn findings(condition: &Condition, now: SystemTime) -> Vec<Finding> {
    let lives = &condition.lives;
    let mut findings = vec![
        files(condition.fault.as_deref()),
        life("tls_certificate", "the certificate of [listen.mtls]", &lives.certificate, now),
        life("tls_client_ca", "the first CA in client_ca to end", &lives.client_ca, now),
    ];
    findings
        .extend(lives.crl.map(|crl| life("tls_crl", "the first revocation list in crl to end", &crl, now)));
    findings
}

fn files(fault: Option<&str>) -> Finding {
    match fault {
        None => ok("tls_files", "the files of [listen.mtls] are in use as they are"),
        Some(why) => fail(
            "tls_files",
            format!("the new files of [listen.mtls] are not taken, the old ones are in use: {why}"),
            "mend it; the files are read again by themselves",
        ),
    }
}

fn life(check: &str, what: &str, life: &Life, now: SystemTime) -> Finding {
    let until = humantime::format_rfc3339_seconds(life.ends);
    let mend = "put a newer one in place; the files are read again by themselves";
    let Ok(left) = life.ends.duration_since(now) else {
        return fail(check, format!("{what} has ended at {until}: nobody comes in"), mend);
    };
    let whole = life.ends.duration_since(life.begins).unwrap_or_default();
    if left < whole / 4 {
        return warn(check, format!("{what} ends at {until}"), mend);
    }
    ok(check, format!("{what} is good until {until}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::server::Lives;
    use std::time::Duration;

    const HOUR: Duration = Duration::from_secs(3600);

    fn levels(left: i32, fault: Option<&str>) -> Vec<(String, String)> {
        let now = SystemTime::UNIX_EPOCH + 1_000_000 * HOUR;
        let ends = if left < 0 { now - HOUR } else { now + left.unsigned_abs() * HOUR };
        let life = Life { begins: ends - 100 * HOUR, ends };
        let lives = Lives { certificate: life, client_ca: life, crl: Some(life) };
        let found = findings(&Condition { lives, fault: fault.map(str::to_owned) }, now);
        found.into_iter().map(|finding| (finding.check, finding.level)).collect()
    }

    #[test]
    fn what_ends_soon_is_said_before_it_ends() {
        for (left, level) in [(99, "ok"), (26, "ok"), (24, "warn"), (0, "warn"), (-1, "fail")] {
            for (check, found) in &levels(left, None)[1..] {
                assert_eq!(found, level, "{check}, {left} hours left");
            }
        }
        let all: Vec<String> = levels(99, None).into_iter().map(|(check, _)| check).collect();
        assert_eq!(all, ["tls_files", "tls_certificate", "tls_client_ca", "tls_crl"]);
    }

    #[test]
    fn files_that_were_not_taken_are_shown_until_they_are() {
        assert_eq!(levels(99, Some("x"))[0].1, "fail");
        assert_eq!(levels(99, None)[0].1, "ok");
    }
}
