//! JSON Schema of what a derive cannot see: identifiers, moments, secrets and the rules between fields.
//!
//! The hard problem: a description typed beside the code drifts from it. The answer: patterns are made from the tables
//! that parse, and bounds are the constants that refuse.
//!
//! Only compiled for the description of the API: a program that uses this client does not carry it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::ids::{AuthorizationState, ConnectionId, ConnectionName, KeyName, OrgId, ProviderId, SecretName};
use crate::limits;
use crate::moment::Moment;
use crate::secret::{AccessToken, AuthorizationCode, IdToken, Pass, Plaintext, RefreshToken, SecretValue};

/// Printable ASCII: VSCHAR of RFC 6749, appendix A.
pub(crate) const PRINTABLE: &str = "^[ -~]+$";
/// NQCHAR of the same appendix, and what providers use beside it: all but the space.
pub(crate) const UNSPACED: &str = "^[!-~]+$";
/// Scopes and the spaces between and around them. How many and how long is more than a regular expression should count.
pub(crate) const SPACED: &str = "^[ -~]*$";
/// No control characters: Unicode's category Cc.
pub(crate) const PLAIN: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";

/// RFC 4648, section 4: padded, and no bits beyond the last byte.
const BASE64: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";

macro_rules! identifier {
    ($($name:ident, $text:literal, $example:literal;)*) => {$(
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "description": $text, "type": "string", "minLength": 1,
                    "maxLength": Self::GRAMMAR.most, "pattern": Self::GRAMMAR.pattern(), "examples": [$example],
                })
            }
        }
    )*};
}

identifier! {
    OrgId, "A tenant.", "acme";
    AuthorizationState, "Names an authorization that was begun.", "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
    ProviderId, "A configured OAuth issuer.", "github";
    ConnectionName, "The name of a connection, chosen by the application.", "main";
    KeyName, "The name of a retired application key in the configuration.", "django-2019";
    SecretName, "The name of a secret, chosen by the application.", "webhook-signing-key";
}

macro_rules! secret {
    ($($name:ident, $rules:expr;)*) => {$(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $rules
            }
        }
    )*};
}

secret! {
    AccessToken, token();
    AuthorizationCode, json_schema!({
        "type": "string", "format": "password", "minLength": 1, "maxLength": limits::CODE, "pattern": PRINTABLE,
    });
    RefreshToken, token();
    IdToken, token();
    Pass, json_schema!({ "type": "string", "format": "password", "pattern": "^[A-Za-z0-9_-]+=*$" });
    Plaintext, json_schema!({
        "type": "string", "format": "password", "contentEncoding": "base64", "pattern": BASE64,
    });
    SecretValue, json_schema!({
        "type": "string", "format": "password", "minLength": 1, "maxLength": limits::SECRET,
    });
}

fn token() -> Schema {
    json_schema!({
        "type": "string", "format": "password", "minLength": 1, "maxLength": limits::TOKEN, "pattern": PRINTABLE,
    })
}

impl JsonSchema for Moment {
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "RFC 3339 in UTC, from 1970; written to the second, and a fraction that comes in is cut off.",
            "type": "string", "format": "date-time",
            "pattern": "^(19[7-9][0-9]|[2-9][0-9]{3})-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?Z$",
            "examples": ["2026-11-21T18:00:00Z"],
        })
    }
}

impl JsonSchema for ConnectionId {
    fn schema_name() -> Cow<'static, str> {
        "ConnectionId".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "One granted account of an org.",
            "type": "object", "required": ["provider", "name"], "additionalProperties": false,
            "properties": {
                "provider": generator.subschema_for::<ProviderId>(),
                "name": generator.subschema_for::<ConnectionName>(),
            },
        })
    }
}

/// The shape of [`crate::wire::Labels`].
pub(crate) struct Labels;

impl JsonSchema for Labels {
    fn schema_name() -> Cow<'static, str> {
        "Labels".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let text = json_schema!({ "type": "string", "maxLength": limits::LABEL, "pattern": PLAIN });
        json_schema!({
            "description": "Small texts that the application keeps beside a connection or a secret.",
            "type": "object", "maxProperties": limits::LABELS, "propertyNames": text, "additionalProperties": text,
        })
    }
}

/// Seconds: a number, or digits as some providers write them.
pub(crate) fn seconds(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": limits::EXPIRES_IN },
            { "type": "string", "pattern": digits(limits::EXPIRES_IN) },
            { "type": "null" },
        ],
    })
}

/// Digits of a number up to this one: with a smaller digit somewhere, with fewer digits, or the same.
fn digits(most: u64) -> String {
    let most = most.to_string();
    let mut ways = vec![format!("[0-9]{{1,{}}}", most.len() - 1)];
    for (at, digit) in most.bytes().enumerate().filter(|(_, digit)| *digit > b'0') {
        let (before, after) = (&most[..at], most.len() - at - 1);
        ways.push(format!("{before}[0-{}][0-9]{{{after}}}", char::from(digit - 1)));
    }
    format!("^0*({}|{most})$", ways.join("|"))
}

/// A token set has one end and one list of scopes, each in one of two forms.
pub(crate) fn one_form_each(schema: &mut Schema) {
    let both = |one: &str, other: &str| {
        json_schema!({
            "required": [one, other],
            "properties": { one: { "not": { "type": "null" } }, other: { "not": { "type": "null" } } },
        })
    };
    let not = json_schema!({ "anyOf": [both("expires_in", "expires_at"), both("scope", "scopes")] });
    schema.insert("not".to_owned(), not.to_value());
}

/// Exactly one of them is named.
pub(crate) fn one_org_or_all(schema: &mut Schema) {
    let one = json_schema!({
        "required": ["org"],
        "properties": { "org": { "not": { "type": "null" } }, "all": { "const": false } },
    });
    let all = json_schema!({
        "required": ["all"],
        "properties": { "org": { "type": "null" }, "all": { "const": true } },
    });
    schema.insert("oneOf".to_owned(), vec![one.to_value(), all.to_value()].into());
}

/// A batch answers each item with one of the two.
pub(crate) fn token_or_problem(schema: &mut Schema) {
    either(schema, "token");
}

/// As [`token_or_problem`].
pub(crate) fn plaintext_or_problem(schema: &mut Schema) {
    either(schema, "plaintext");
}

/// As [`token_or_problem`].
pub(crate) fn outcome_or_problem(schema: &mut Schema) {
    either(schema, "outcome");
}

fn either(schema: &mut Schema, good: &str) {
    let required = |name: &str| json_schema!({ "required": [name] }).to_value();
    schema.insert("oneOf".to_owned(), vec![required(good), required("problem")].into());
}
