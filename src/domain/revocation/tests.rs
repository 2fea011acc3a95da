//! Answers that providers give to a revocation, and what each is taken for.

use super::*;

fn judged(way: RevocationWay, status: u16, body: &str) -> Verdict {
    let heard = Heard::Answer { status, retry_after: Some(Duration::from_secs(7)), body: body.as_bytes() };
    let meaning = |word: &str| match word {
        "invalid_grant" | "dead" => ErrorMeaning::Grant,
        "invalid_client" => ErrorMeaning::Client,
        _ => ErrorMeaning::Other,
    };
    judge(&heard, &meaning, way)
}

fn later(setback: Setback) -> Verdict {
    Verdict::Later { setback, wish: Some(Duration::from_secs(7)) }
}

#[test]
fn only_words_and_a_success_end_it() {
    use RevocationWay::{Bearer, Form, GitHub};
    let refused = Verdict::Impossible(Impossible::Refused);
    let ended = Verdict::Impossible(Impossible::AccessTokenEnded);
    for (way, status, body, verdict) in [
        (Form, 200, "", Verdict::Done),
        (Form, 204, "", Verdict::Done),
        (Form, 400, r#"{"error":"invalid_token"}"#, Verdict::Done),
        (Form, 400, r#"{"error":"dead"}"#, Verdict::Done),
        (Form, 400, r#"{"error":"unsupported_token_type"}"#, refused),
        (Form, 400, r#"{"error":"words_of_its_own"}"#, refused),
        (Form, 401, r#"{"error":"invalid_client"}"#, later(Setback::Client)),
        (Form, 401, "", later(Setback::Client)),
        (Form, 403, "<html>a proxy</html>", later(Setback::Provider)),
        (Form, 404, "", later(Setback::Provider)),
        (Form, 429, "", later(Setback::Provider)),
        (Form, 503, "", later(Setback::Provider)),
        (Form, 500, r#"{"error":"server_error"}"#, later(Setback::Provider)),
        (Form, 200, r#"{"ok":false,"error":"ratelimited"}"#, later(Setback::Provider)),
        (Bearer, 200, r#"{"ok":true,"revoked":true}"#, Verdict::Done),
        (Bearer, 200, r#"{"ok":false,"error":"token_revoked"}"#, Verdict::Done),
        (Bearer, 200, r#"{"ok":false,"error":"token_expired"}"#, ended),
        (Bearer, 401, "", ended),
        (GitHub, 204, "", Verdict::Done),
        (GitHub, 422, r#"{"message":"Validation Failed"}"#, ended),
        (GitHub, 401, r#"{"message":"Bad credentials"}"#, later(Setback::Client)),
    ] {
        assert_eq!(judged(way, status, body), verdict, "{way:?} {status} {body}");
    }
    let nothing = judge(&Heard::Nothing, &|_| ErrorMeaning::Other, Form);
    assert_eq!(nothing, Verdict::Later { setback: Setback::Provider, wish: None });
}

#[test]
fn spans_grow_to_an_end_and_are_never_shorter_than_the_wish() {
    let spans: Vec<u64> =
        [1, 2, 3, 10, 14, 15, 99].map(|failures| wait(failures, None, 0.0).as_secs()).into();
    assert_eq!(spans, [2, 4, 8, 1024, 16384, 21600, 21600]);
    assert_eq!(wait(1, Some(Duration::from_secs(90)), 1.0), Duration::from_secs(135));
    assert_eq!(wait(1, Some(Duration::MAX), 0.0), LONGEST_WISH);
}
