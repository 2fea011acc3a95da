//! After a thousand mixed requests by every way in, nothing of them and no key is in the daemon's memory.

use std::path::Path;

use tokenkeep_scanner::{Kind, Report};

use crate::canaries::Canaries;
use crate::load;
use crate::survey::{Survey, may_look, rest};

/// Requests by each of the four ways.
const EACH: usize = 250;

/// What a scan of each kind has found in this daemon, or that of this build, after so many requests by each way.
pub(crate) fn scans_of(program: Option<&Path>, each: usize) -> Option<Vec<(&'static str, Report)>> {
    let (mut vault, keys) = load::vault();
    vault.dowry.program = program.map(Into::into);
    vault.start();
    if !may_look(&vault) {
        return None;
    }
    let canaries = Canaries::default();
    let (sent, connected) = load::serve(&vault, &keys, &canaries, each);
    println!("requests: {sent:?}");
    assert!(sent.values().sum::<usize>() >= 4 * each);
    let survey = Survey::new(&vault, &keys, &canaries);
    assert!(survey.org_keys >= 16, "{}", survey.org_keys);
    rest(&vault);
    let [running, stopped] = survey.live(&vault, "connections idle");
    let core = survey.core(&vault, "connections idle");
    drop(connected);
    rest(&vault);
    let [closed, closed_stopped] = survey.live(&vault, "connections closed");
    let closed_core = survey.core(&vault, "connections closed");
    survey.files(&vault);
    Some(vec![
        ("idle, running", running),
        ("idle, stopped", stopped),
        ("idle, core file", core),
        ("closed, running", closed),
        ("closed, stopped", closed_stopped),
        ("closed, core file", closed_core),
    ])
}

#[test]
fn after_a_thousand_requests_no_plaintext_and_no_key_is_left() {
    for (when, report) in scans_of(None, EACH).into_iter().flatten() {
        assert_eq!((report.count(Kind::Canary), report.count(Kind::Key)), (0, 0), "{when}: {report}");
    }
}
