//! What is told, and what is nobody's business.
#![allow(clippy::expect_used, reason = "tests")]

use super::*;
use crate::domain::refresh::{Fingerprint, Node, Reason};

fn moment(text: &str) -> Moment {
    Moment::parse(text).expect("a moment")
}

fn intent(grounds: Grounds) -> Intent {
    let begun_at = moment("2026-01-01T00:00:00Z");
    Intent {
        generation: 7,
        token: Fingerprint("aa".into()),
        node: Node("n".into()),
        fence: 1,
        begun_at,
        deadline: begun_at,
        grounds,
    }
}

#[test]
fn an_exchange_is_told_of_when_it_changes_what_can_be_done() {
    let since = moment("2026-01-01T00:00:00Z");
    let probe = Grounds::Probe { since };
    let told = |grounds, ended, next: &Custody, may| {
        news_of_exchange(&intent(grounds), ended, next, may).map(|news| (news.kind, news.reason))
    };
    let unknown = |probed| Custody::OutcomeUnknown { since, probed };
    let dead = |reason| Custody::NeedsReauth { reason, since };
    let first = Grounds::First;
    assert_eq!(
        told(first, Ended::Refused, &dead(Reason::InvalidGrant), false),
        Some((Kind::ConnectionNeedsReauth, Some("invalid_grant")))
    );
    assert_eq!(
        told(first, Ended::Lost, &unknown(false), false),
        Some((Kind::ConnectionOutcomeUnknown, Some("answer_lost")))
    );
    assert_eq!(
        told(probe, Ended::Lost, &unknown(true), false),
        Some((Kind::ConnectionOutcomeUnknown, Some("probe_lost")))
    );
    assert_eq!(
        told(probe, Ended::Answered, &Custody::Settled, true),
        Some((Kind::ConnectionRecovered, Some("probed")))
    );
    let late = |before: &Custody| news_of_answer(&intent(first), before).map(|news| news.reason);
    assert_eq!(late(&unknown(false)), Some(Some("answer_came")));
    assert_eq!(late(&Custody::Settled), None);
    let again = Grounds::Again { since, probed: false };
    for quiet in [
        told(first, Ended::Answered, &Custody::Settled, true),
        told(first, Ended::NotProcessed, &Custody::Settled, true),
        told(first, Ended::Broken, &unknown(false), true),
        told(again, Ended::Answered, &Custody::Settled, true),
        told(again, Ended::Lost, &unknown(false), false),
        told(probe, Ended::Broken, &unknown(false), false),
    ] {
        assert_eq!(quiet, None);
    }
}

#[test]
fn a_new_consent_is_a_recovery_of_what_was_broken_alone() {
    let since = moment("2026-01-01T00:00:00Z");
    let dead = Custody::NeedsReauth { reason: Reason::AnswerLost, since };
    let told = news_of_storing(&dead, &Custody::Settled).expect("news");
    assert_eq!((told.kind, told.since), (Kind::ConnectionRecovered, Some(since)));
    assert_eq!(news_of_storing(&dead, &dead), None, "the refresh token stayed");
    assert_eq!(news_of_storing(&Custody::Settled, &Custody::Settled), None);
}

#[test]
fn an_end_is_told_of_by_the_first_refresh_that_is_near_it() {
    let (consented, day) = (moment("2026-01-01T00:00:00Z"), Duration::from_secs(24 * 3600));
    let told = |limit: u32, before: u32, now: u32| {
        news_of_end(consented, day * limit, consented.after(day * before), consented.after(day * now))
    };
    assert_eq!(told(365, 349, 350), None);
    let news = told(365, 350, 351).expect("news");
    assert_eq!((news.kind, news.reason), (Kind::ConnectionExpiring, Some("absolute_limit")));
    assert_eq!(news.ends_at, Some(consented.after(day * 365)));
    assert_eq!(told(365, 351, 352), None, "once");
    assert!(told(365, 300, 364).is_some(), "late, where it was not refreshed for long");
    assert_eq!((told(8, 4, 5), told(8, 5, 6).is_some()), (None, true), "a quarter of a short limit");
}

#[test]
fn every_kind_is_written_as_its_word_and_read_again() {
    let at = moment("2026-01-01T00:00:00Z");
    for kind in [
        Kind::BackupFailed,
        Kind::BackupRecovered,
        Kind::ConnectionExpiring,
        Kind::ConnectionNeedsReauth,
        Kind::ConnectionOutcomeUnknown,
        Kind::ConnectionRecovered,
        Kind::ProviderBraked,
        Kind::ProviderReleased,
        Kind::Test,
        Kind::VaultQuarantined,
    ] {
        let event = Event::new(kind, at);
        let text = serde_json::to_string(&event).expect("JSON");
        assert!(text.starts_with(&format!("{{\"type\":\"{}\",", kind.as_str())), "{text}");
        assert_eq!(serde_json::from_str::<Event>(&text).expect("an event"), event);
    }
    assert!(!Event::new(Kind::Test, at).is_too_old(moment("2026-01-07T00:00:00Z")));
    assert!(Event::new(Kind::Test, at).is_too_old(moment("2026-01-09T00:00:00Z")));
}
