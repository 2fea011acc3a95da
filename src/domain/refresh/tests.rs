//! The rules, one by one: what may be sent when, and what each answer means.

use super::answer::{Dialect, Heard, Meaning};
use super::life::Life;
use super::*;
use crate::domain::provider::client::{ErrorMeaning, ScopeSeparator};

const STRICT: Terms =
    Terms { rotates: true, leeway: Duration::ZERO, reuse_revokes_family: true, kills_access_token: false };

/// As a provider with words of its own, and commas between scopes.
fn read(heard: &Heard<'_>) -> Meaning {
    let meaning = |word: &str| match word {
        "invalid_grant" | "bad_refresh_token" | "token_revoked" => ErrorMeaning::Grant,
        "invalid_client" | "unauthorized_client" | "bad_client_secret" => ErrorMeaning::Client,
        _ => ErrorMeaning::Other,
    };
    super::answer::read(heard, &Dialect { meaning: &meaning, separator: ScopeSeparator::Comma })
}

fn at(seconds: u64) -> Moment {
    Moment::from_unix(1_800_000_000 + seconds).expect("in range")
}

fn intent(grounds: Grounds) -> Intent {
    Intent {
        generation: 7,
        token: Fingerprint("ab".into()),
        node: Node("n".into()),
        fence: 9,
        begun_at: at(0),
        deadline: at(30),
        grounds,
    }
}

#[test]
fn a_token_that_may_be_spent_is_sent_again_only_inside_the_leeway() {
    let unknown = Custody::OutcomeUnknown { since: at(0), probed: false };
    let lenient = Terms { leeway: Duration::from_secs(600), ..STRICT };
    let ends = Some(at(3600));
    let next = |terms: &Terms, now| unknown.next(terms, at(now), ends, Holder::Gone);
    assert_eq!(next(&lenient, 594), Move::Send(Grounds::Again { since: at(0), probed: false }));
    assert_eq!(next(&lenient, 595), Move::Wait { since: at(0), until: ends }, "a margin is left");
    assert_eq!(next(&STRICT, 1), Move::Wait { since: at(0), until: ends });
    let mild = Terms { reuse_revokes_family: false, ..STRICT };
    assert_eq!(
        next(&mild, 3000),
        Move::Send(Grounds::Again { since: at(0), probed: false }),
        "it does no harm"
    );
    let stays = Terms { rotates: false, ..STRICT };
    assert_eq!(next(&stays, 3000), Move::Send(Grounds::Again { since: at(0), probed: false }));
}

#[test]
fn without_a_leeway_it_is_probed_once_and_not_before_the_access_token_has_ended() {
    let ends = Some(at(100));
    let unknown = Custody::OutcomeUnknown { since: at(0), probed: false };
    let next = |custody: &Custody, now| custody.next(&STRICT, at(now), ends, Holder::Gone);
    assert_eq!(next(&unknown, 99), Move::Wait { since: at(0), until: ends });
    let Move::Send(grounds @ Grounds::Probe { .. }) = next(&unknown, 100) else { panic!("no probe") };
    let probe = intent(grounds);
    assert_eq!(next(&probe.settle(Ended::Lost, at(101)), 5000), Move::GiveUp { since: at(0) });
    let killed = Custody::Refreshing { intent: probe.clone() };
    assert_eq!(next(&killed, 5000), Move::GiveUp { since: at(0) }, "a crash in the probe uses it up, too");
    for not_used_up in [Ended::Broken, Ended::NotProcessed] {
        assert_eq!(next(&probe.settle(not_used_up, at(101)), 101), Move::Send(grounds));
    }
    let no_end = unknown.next(&STRICT, at(5000), None, Holder::Gone);
    assert_eq!(no_end, Move::Wait { since: at(0), until: None });
}

#[test]
fn a_clock_that_was_set_back_does_not_prolong_a_leeway() {
    let terms = Terms { leeway: Duration::from_secs(600), ..STRICT };
    let unknown = Custody::OutcomeUnknown { since: at(1000), probed: false };
    let ends = Some(at(4000));
    assert_eq!(
        unknown.next(&terms, at(999), ends, Holder::Gone),
        Move::Wait { since: at(1000), until: ends }
    );
}

#[test]
fn an_open_intent_is_left_alone_while_its_holder_may_live() {
    let open = Custody::Refreshing { intent: intent(Grounds::First) };
    assert_eq!(open.next(&STRICT, at(1), Some(at(0)), Holder::MayLive), Move::UnderWay);
    let probe = Move::Send(Grounds::Probe { since: at(0) });
    assert_eq!(open.next(&STRICT, at(30), Some(at(0)), Holder::Gone), probe);
    let early = Move::Wait { since: at(0), until: Some(at(30)) };
    assert_eq!(open.next(&STRICT, at(29), Some(at(0)), Holder::Gone), early, "it may still be on its way");
}

#[test]
fn a_refusal_says_whether_an_answer_was_lost_before() {
    let reason = |grounds| match intent(grounds).settle(Ended::Refused, at(5)) {
        Custody::NeedsReauth { reason, .. } => reason.as_str(),
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(Grounds::First), "invalid_grant");
    assert_eq!(reason(Grounds::Again { since: at(0), probed: false }), "answer_lost");
    assert_eq!(reason(Grounds::Probe { since: at(0) }), "answer_lost");
}

#[test]
fn what_was_not_processed_leaves_the_token_as_it_was() {
    assert_eq!(intent(Grounds::First).settle(Ended::NotProcessed, at(1)), Custody::Settled);
    let again = Grounds::Again { since: at(0), probed: false };
    let before = Custody::OutcomeUnknown { since: at(0), probed: false };
    assert_eq!(intent(again).settle(Ended::NotProcessed, at(9)), before);
    assert_eq!(intent(Grounds::First).settle(Ended::Broken, at(9)), before, "a 500 may have spent it");
}

#[test]
fn an_outcome_lands_where_its_token_still_is() {
    let mine = intent(Grounds::First);
    let other = Intent { fence: 10, ..mine.clone() };
    let open = |intent: &Intent| Custody::Refreshing { intent: intent.clone() };
    assert_eq!(landing(&mine, Some(&mine.token), &open(&mine)), Landing::Whole);
    assert_eq!(landing(&mine, Some(&mine.token), &open(&other)), Landing::IfAnswered);
    assert_eq!(landing(&mine, Some(&Fingerprint("cd".into())), &Custody::Settled), Landing::Beside);
    assert_eq!(landing(&mine, None, &Custody::Settled), Landing::Beside);
}

/// As the table in docs/refresh.md has it.
#[test]
fn each_odd_answer_has_its_meaning() {
    let wish = Some(Duration::from_secs(7));
    let said = |status, body: &str| {
        let heard = Heard::Answer { status, retry_after: wish, body: body.as_bytes() };
        match read(&heard) {
            Meaning::Broken(_) => "broken",
            Meaning::ClientRefused => "client refused",
            Meaning::Lost => "lost",
            Meaning::NotProcessed(found) => {
                assert_eq!(found, wish);
                "not processed"
            }
            Meaning::Refused => "refused",
            Meaning::Tokens(_) => "tokens",
            Meaning::Unreadable => "unreadable",
        }
    };
    for (status, body, meaning) in [
        (200, r#"{"access_token":"a","refresh_token":"r","expires_in":3600}"#, "tokens"),
        (201, r#"{"access_token":"a","error":"","token_type":7,"scope":{},"id_token":[]}"#, "tokens"),
        (200, r#"{"error":"bad_refresh_token"}"#, "refused"),
        (200, r#"{"ok":false,"error":"token_revoked"}"#, "refused"),
        (200, r#"{"ok":false,"error":"bad_client_secret"}"#, "client refused"),
        (200, r#"{"ok":false,"error":"fatal_error"}"#, "not processed"),
        (200, r#"{"access_token":""}"#, "unreadable"),
        (200, r#"{"access_token":"a","refresh_token":"r\nx"}"#, "unreadable"),
        (200, r#"{"access_token":"a","refresh"#, "unreadable"),
        (200, "<html>sign in to the network</html>", "unreadable"),
        (200, "", "unreadable"),
        (400, r#"{"error":"invalid_grant"}"#, "refused"),
        (403, r#"{"error":"invalid_grant"}"#, "refused"),
        (400, "invalid_grant", "not processed"),
        (400, r#"{"error":"invalid_request"}"#, "not processed"),
        (401, r#"{"error":"invalid_client"}"#, "client refused"),
        (400, r#"{"error":"unauthorized_client"}"#, "client refused"),
        (401, "", "not processed"),
        (403, "<html>blocked</html>", "not processed"),
        (302, "", "not processed"),
        (429, r#"{"error":"slow_down"}"#, "not processed"),
        (503, "", "not processed"),
        (500, r#"{"error":"server_error"}"#, "broken"),
        (502, "<html>bad gateway</html>", "broken"),
        (504, "", "broken"),
    ] {
        assert_eq!(said(status, body), meaning, "{status} {body}");
    }
    assert!(matches!(read(&Heard::Nothing), Meaning::Lost));
    assert!(matches!(read(&Heard::NotSent), Meaning::NotProcessed(None)));
}

#[test]
fn a_token_set_is_read_whatever_the_types_of_its_fields() {
    let set =
        |body: &str| match read(&Heard::Answer { status: 200, retry_after: None, body: body.as_bytes() }) {
            Meaning::Tokens(set) => set,
            other => panic!("{other:?}"),
        };
    let hour = Some(Duration::from_secs(3600));
    assert_eq!(set(r#"{"access_token":"a","expires_in":3600}"#).expires_in, hour);
    assert_eq!(set(r#"{"access_token":"a","expires_in":"3600"}"#).expires_in, hour);
    assert_eq!(set(r#"{"access_token":"a","expires_in":3600.9}"#).expires_in, hour);
    for none in [
        r#"{"access_token":"a"}"#,
        r#"{"access_token":"a","expires_in":-1}"#,
        r#"{"access_token":"a","expires_in":"soon"}"#,
    ] {
        assert_eq!(set(none).expires_in, None, "{none}");
    }
    for kept in [
        r#"{"access_token":"a"}"#,
        r#"{"access_token":"a","refresh_token":null}"#,
        r#"{"access_token":"a","refresh_token":""}"#,
    ] {
        assert_eq!(set(kept).refresh_token, None, "{kept}");
    }
    let scopes = |body: &str| set(body).scopes;
    assert_eq!(scopes(r#"{"access_token":"a","scope":"x,y z"}"#).unwrap(), ["x", "y", "z"]);
    assert_eq!(scopes(r#"{"access_token":"a","scope":["x"]}"#).unwrap(), ["x"]);
    assert_eq!(scopes(r#"{"access_token":"a"}"#), None);
}

#[test]
fn a_provider_of_short_tokens_is_not_asked_for_each_read() {
    let life = |seconds| Life { refreshed_at: at(0), expires_at: Some(at(seconds)) };
    let day = Duration::from_secs(86400);
    assert_eq!(life(3600).least(day, &STRICT), Duration::from_secs(1800));
    assert_eq!(life(3600).least(Duration::from_secs(60), &STRICT), Duration::from_secs(60));
    let kills = Terms { kills_access_token: true, ..STRICT };
    assert_eq!(life(3600).least(day, &kills), Duration::ZERO, "never before its end");
}
