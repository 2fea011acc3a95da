//! Moments and spans as databases and OAuth libraries write them.
//!
//! The hard problem: `2026-11-21 18:00:00` is a moment only for who knows the zone. The answer: it is refused, unless
//! it is said that all such are in UTC.
//!
//! Never reads the clock.

use std::time::Duration;

use serde_json::Value;
use tokenkeep_client::moment::Moment;

use super::wrong::Wrong;

/// Unix seconds beyond the year 5000 are milliseconds.
const SECONDS_MOST: f64 = 1e11;
/// Longer than any provider's; a larger number is a moment that was mistaken for a span.
const SPAN_MOST: f64 = 10.0 * 365.0 * 86400.0;

/// What a moment without a zone is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zoneless {
    /// Not a moment.
    Refused,
    /// One in UTC.
    Utc,
}

/// The moment in a field.
///
/// # Errors
/// It is none, or its zone is not known.
pub fn moment(value: &Value, zoneless: Zoneless, field: &str) -> Result<Moment, Wrong> {
    if let Some(seconds) = number(value) {
        let in_range = (0.0..SECONDS_MOST).contains(&seconds);
        // Not negative, and far below what a u64 holds: the fraction alone is cut off.
        let at = in_range.then(|| Moment::from_unix(seconds as u64)).flatten();
        return at.ok_or_else(|| {
            Wrong::new(wrong_code(field), format!("{field} is a number and not one of Unix seconds"))
        });
    }
    let rule = || {
        Wrong::new(
            wrong_code(field),
            format!("{field} is not RFC 3339, PostgreSQL's timestamptz or Unix seconds"),
        )
    };
    let text = value.as_str().ok_or_else(rule)?;
    let (at, zone) = date_and_time(text.trim_ascii()).ok_or_else(rule)?;
    match (offset(zone), zone.is_empty(), zoneless) {
        (Some(east), _, _) => shifted(at, east).ok_or_else(rule),
        (None, true, Zoneless::Utc) => Ok(at),
        (None, true, Zoneless::Refused) => Err(Wrong::new(
            wrong_code(field),
            format!("{field} has no time zone; --assume-utc takes such as UTC"),
        )),
        (None, false, _) => Err(rule()),
    }
}

/// The span in a field, in seconds.
///
/// # Errors
/// It is none.
pub fn span(value: &Value) -> Result<Duration, Wrong> {
    let seconds = number(value).filter(|seconds| (0.0..=SPAN_MOST).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| Wrong::new("expires_in", "expires_in is not a number of seconds, at most ten years"))
}

fn wrong_code(field: &str) -> &'static str {
    if field == "issued_at" { "issued_at" } else { "expires_at" }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => {
            let text = text.trim_ascii();
            let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            if plain { text.parse().ok() } else { None }
        }
        _ => None,
    }
}

/// `2026-11-21T18:00:00`, with a space for the `T` too, and what follows but a fraction of the second.
fn date_and_time(text: &str) -> Option<(Moment, &str)> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, rest) = rest.split_at_checked(8)?;
    let at = Moment::parse(&format!("{date}T{time}Z"))?;
    let Some(fraction) = rest.strip_prefix('.') else { return Some((at, rest)) };
    let zone = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
    (zone.len() < fraction.len()).then_some((at, zone))
}

/// Seconds east of Greenwich: `Z`, `+00`, `+01:00`, `-0330`.
fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z" | " UTC") {
        return Some(0);
    }
    let (sign, digits) = zone.split_at_checked(1)?;
    let sign = match sign {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = digits.split_at_checked(2)?;
    let minutes = minutes.strip_prefix(':').unwrap_or(minutes);
    let two = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse::<i64>().ok() } else { None }
    };
    let hours = two(hours)?;
    let minutes = if minutes.is_empty() && digits.len() == 2 { 0 } else { two(minutes)? };
    (hours <= 15 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

fn shifted(at: Moment, east: i64) -> Option<Moment> {
    Moment::from_unix(at.unix().checked_add_signed(-east)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: &Value) -> Option<String> {
        moment(value, Zoneless::Refused, "expires_at").ok().map(|at| at.to_string())
    }

    #[test]
    fn one_moment_in_every_form() {
        for value in [
            json!("2026-11-21T18:00:00Z"),
            json!("2026-11-21 18:00:00+00"),
            json!("2026-11-21 18:00:00.123456+00"),
            json!("2026-11-21T18:00:00.5+00:00"),
            json!("2026-11-21 19:00:00+01"),
            json!("2026-11-21 23:30:00+05:30"),
            json!("2026-11-21T14:30:00-0330"),
            json!("1795284000"),
            json!("1795284000.9"),
            json!(1_795_284_000),
            json!(1_795_284_000.5),
        ] {
            assert_eq!(read(&value).as_deref(), Some("2026-11-21T18:00:00Z"), "{value}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for value in [
            json!("2026-11-21"),
            json!("2026-11-21 18:00:00"),
            json!("2026-11-21 18:00:00.+00"),
            json!("2026-11-21 18:00:00+1"),
            json!("2026-11-21 18:00:00+01:"),
            json!("2026-11-21 18:00:00+99"),
            json!("2026-02-30 18:00:00Z"),
            json!("infinity"),
            json!("1795284000000"),
            json!(-1),
            json!(true),
            json!("1970-01-01 00:00:00+01"),
        ] {
            assert_eq!(read(&value), None, "{value}");
        }
        let zoneless = json!("2026-11-21 18:00:00");
        let at = moment(&zoneless, Zoneless::Utc, "expires_at").unwrap();
        assert_eq!(at.to_string(), "2026-11-21T18:00:00Z");
    }

    #[test]
    fn a_span_is_seconds_and_no_moment() {
        assert_eq!(span(&json!("3600")).unwrap(), Duration::from_secs(3600));
        assert_eq!(span(&json!(3599.6)).unwrap().as_secs(), 3599);
        for bad in [json!(-1), json!("1h"), json!(1_795_284_000), json!("")] {
            assert!(span(&bad).is_err(), "{bad}");
        }
    }
}
