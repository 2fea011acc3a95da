//! The document: paths, operations and answers of one side of the API, as the table has them.
//!
//! Says nothing that does not come from the table, from a shape or from a constant, but for words.

use serde_json::{Map, Value, json};
use tokenkeep::domain::action::Action;
use tokenkeep::transport::answer::STRICT_TRANSPORT;
use tokenkeep::transport::operation::{Carries, Heeds, Needs, Operation, Path, Shape};
use tokenkeep::transport::paths::PATHS;

use super::problems::Refusals;
use super::shapes::Shapes;
use super::{problems, samples, shapes};

/// Which socket's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// What only the admin socket serves.
    Admin,
    /// What the application socket serves.
    Application,
}

/// The document as it stands in `docs/`.
pub(crate) fn text(side: Side) -> String {
    let mut text = serde_json::to_string_pretty(&document(side)).expect("plain JSON");
    text.push('\n');
    text
}

fn document(side: Side) -> Value {
    let (mut shapes, mut refusals) = (Shapes::new(), Refusals::default());
    shapes.problem();
    let mut paths = Map::new();
    for path in PATHS.iter().filter(|path| path.is_admin() == (side == Side::Admin)) {
        paths.insert(path.template.to_owned(), path_item(path, &mut shapes, &mut refusals));
    }
    let (title, about, servers) = words(side);
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": "1",
            "summary": "Tokens and secrets of other people, kept by a local daemon.",
            "description": about,
        },
        "servers": servers,
        "tags": tags(side),
        "paths": paths,
        "components": {
            "headers": headers(),
            "examples": problems::examples(),
            "responses": refusals.finish(),
        },
    });
    if side == Side::Application {
        document["components"]["securitySchemes"] = json!({ "pass": {
            "type": "http", "scheme": "bearer",
            "description": "A pass of `issuePass`. Needed where the policy of the client says `require_pass`; shown, it binds in any case.",
        } });
    }
    document["components"]["schemas"] = Value::Object(shapes.finish());
    document
}

fn words(side: Side) -> (&'static str, String, Value) {
    let everywhere = "\
Each answer carries `Cache-Control: no-store` and `X-Request-Id`, which also stands in the audit entry. A request with \
`Origin`, `Referer`, `Sec-Fetch-Site`, `X-Forwarded-For` or `Forwarded` is refused: a browser or a proxy is never a caller. \
Unknown fields and unknown query parameters are refused. Path and header fields have up to 6 KiB together.\n\n\
A path that is not here gets 404 `not_found`, another method 405 `method_not_allowed` with `Allow`. Bytes that are not HTTP, \
and header fields beyond 8 KiB, are answered by the HTTP library itself: 400 or 431 without a body, and the connection ends.\n\n\
`docs/api.md` says the same to people.";
    match side {
        Side::Admin => (
            "tokenkeep, admin API",
            format!(
                "Served on the admin socket alone, to the daemon's own user and root, beside the application API.\n\n{everywhere}"
            ),
            json!([{ "url": "http://localhost", "description": "The admin socket: HTTP over a Unix socket, the host name does not matter." }]),
        ),
        Side::Application => (
            "tokenkeep, application API",
            format!(
                "The caller is who the kernel or its certificate says; `x-action` is what its `[[client]]` must allow.\n\n{everywhere}"
            ),
            json!([
                { "url": "http://localhost", "description": "The application socket: HTTP over a Unix socket, the host name does not matter." },
                { "url": "https://localhost:8443", "description": "The mTLS listener, where one is configured: the caller is the name in its certificate." },
            ]),
        ),
    }
}

fn tags(side: Side) -> Value {
    let known: &[(&str, &str)] = match side {
        Side::Admin => &[
            ("audit", "The audit log."),
            ("doctor", "The host."),
            ("import", "What an application kept until now."),
            ("keys", "The root keys."),
            ("metrics", "What there is to measure."),
            ("orgs", "Tenants."),
            ("revocations", "What is still to be revoked at providers."),
        ],
        Side::Application => &[
            ("ciphertexts", "What is sealed here and stays in the application's own database."),
            ("connections", "Granted accounts of an org: their token sets in, their access tokens out."),
            ("orgs", "Tenants."),
            ("secrets", "Other sealed values of an org."),
            ("state", "The daemon itself."),
        ],
    };
    known.iter().map(|(name, about)| json!({ "name": name, "description": about })).collect()
}

/// The tag of a path: the part that names what it is about.
fn tag(path: &Path) -> &'static str {
    let parts: Vec<&str> = path.template.split('/').skip(1).collect();
    match parts[..] {
        ["admin", _, what, ..] => what,
        ["metrics"] => "metrics",
        [_, "orgs", _, "encrypt" | "decrypt"] => "ciphertexts",
        [_, "orgs", _] | [_, "orgs", _, "passes"] => "orgs",
        [_, "orgs", _, "secrets", ..] => "secrets",
        [_, "orgs", _, "authorizations" | "connections" | "tokens", ..] => "connections",
        _ => "state",
    }
}

fn path_item(path: &Path, shapes: &mut Shapes, refusals: &mut Refusals) -> Value {
    let mut item = Map::new();
    let parameters: Vec<Value> = path.parameters().map(|name| path_parameter(path, name, shapes)).collect();
    if !parameters.is_empty() {
        item.insert("parameters".to_owned(), parameters.into());
    }
    for operation in path.operations {
        item.insert(
            operation.method.as_str().to_ascii_lowercase(),
            describe(path, operation, shapes, refusals),
        );
    }
    Value::Object(item)
}

fn path_parameter(path: &Path, name: &str, shapes: &mut Shapes) -> Value {
    let (schema, example) = shapes.identifier(path, name);
    json!({ "name": name, "in": "path", "required": true, "schema": schema, "example": example })
}

fn describe(path: &Path, operation: &Operation, shapes: &mut Shapes, refusals: &mut Refusals) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.about,
        "tags": [tag(path)],
        "responses": responses(path, operation, shapes, refusals),
    });
    if path.parameters().any(|name| name == "org") && !path.is_admin() {
        described["security"] = json!([{}, { "pass": [] }]);
    }
    if let Needs::Action(action) = operation.needs {
        described["x-action"] = Action::as_str(action).into();
    }
    let mut parameters: Vec<Value> = operation.query.iter().map(|known| shapes.parameter(known)).collect();
    if operation.heeds == Heeds::Conditions {
        parameters.extend(shapes::conditions());
    }
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if let Some(content) = operation.takes {
        described["requestBody"] = json!({
            "required": true,
            "description": format!("At most {} bytes.", content.limit),
            "content": { "application/json": {
                "schema": shapes.comes_in(content.shape),
                "examples": { "usual": { "value": samples::of(content.shape) } },
            } },
        });
    }
    described
}

fn responses(path: &Path, operation: &Operation, shapes: &mut Shapes, refusals: &mut Refusals) -> Value {
    let mut responses = Map::new();
    for success in operation.succeeds {
        let mut response = json!({ "description": success.about, "headers": common_headers() });
        if operation.carries != Carries::Nothing {
            response["headers"]["ETag"] = reference("headers", "ETag");
        }
        if let Some(schema) = shapes.goes_out(operation.gives) {
            let sample = samples::given(operation.gives, success.status);
            let json = json!({ "schema": schema, "examples": { "usual": { "value": sample } } });
            let kind = if operation.gives == Shape::Metrics {
                "application/openmetrics-text"
            } else {
                "application/json"
            };
            response["content"] = json!({ kind: json });
        }
        if operation.carries == Carries::BareForm {
            let bare = samples::bare(operation.gives);
            response["content"]["text/plain"] = json!({
                "schema": { "type": "string", "description": "The bare value and nothing else, where `Accept` asks for it." },
                "examples": { "usual": { "value": bare } },
            });
        }
        responses.insert(success.status.as_str().to_owned(), response);
    }
    for (status, response) in refusals.of(&operation.refusals(path)) {
        responses.insert(status, response);
    }
    Value::Object(responses)
}

/// What every answer carries.
pub(crate) fn common_headers() -> Value {
    json!({
        "Cache-Control": reference("headers", "Cache-Control"),
        "Strict-Transport-Security": reference("headers", "Strict-Transport-Security"),
        "X-Request-Id": reference("headers", "X-Request-Id"),
    })
}

/// A reference to a component.
pub(crate) fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

fn headers() -> Value {
    json!({
        "Cache-Control": {
            "description": "No cache may keep an answer.",
            "required": true,
            "schema": { "const": "no-store" },
        },
        "ETag": {
            "description": "The generation or version in quotes, as `If-Match` takes it.",
            "required": true,
            "schema": { "type": "string", "pattern": "^\"[0-9]+\"$" },
            "example": "\"7\"",
        },
        "Retry-After": {
            "description": "Seconds to wait before asking again.",
            "schema": { "type": "integer", "minimum": 1 },
            "example": 1,
        },
        "Strict-Transport-Security": {
            "description": "Over TLS alone, and there always.",
            "schema": { "const": STRICT_TRANSPORT.1 },
        },
        "WWW-Authenticate": {
            "description": "What is wrong with the pass that was shown, or that one is needed.",
            "schema": { "type": "string", "pattern": "^Bearer" },
            "example": "Bearer",
        },
        "X-Request-Id": {
            "description": "The id of the request, also in its audit entry.",
            "required": true,
            "schema": { "type": "string", "pattern": "^[0-9a-f]{16}$" },
            "example": samples::REQUEST_ID,
        },
    })
}
