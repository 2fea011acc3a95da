//! Schemas: of the shapes on the wire, by their own derives, and of parameters, by the constants that judge them.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};
use tokenkeep::domain::action::Action;
use tokenkeep::domain::pass;
use tokenkeep::domain::policy::is_grantable;
use tokenkeep::transport::operation::{Kind, Parameter, Path, Shape};
use tokenkeep_client::ids::{AuthorizationState, ConnectionName, OrgId, ProviderId, SecretName};
use tokenkeep_client::import;
use tokenkeep_client::limits;
use tokenkeep_client::moment::Moment;
use tokenkeep_client::problem::Problem;
use tokenkeep_client::wire;

use super::samples::STATE;

/// Makes schemas and collects those that have a name. A shape that comes in may leave out what has a default; one that
/// goes out has everything: hence two generators.
pub(crate) struct Shapes {
    r#in: SchemaGenerator,
    out: SchemaGenerator,
}

impl Shapes {
    pub(crate) fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
            })
        };
        Self {
            r#in: settings().for_deserialize().into_generator(),
            out: settings().for_serialize().into_generator(),
        }
    }

    /// Everything that has a name, and means the same in both directions.
    pub(crate) fn finish(mut self) -> Map<String, Value> {
        let mut all = self.r#in.take_definitions(true);
        all.values_mut().for_each(bound);
        for (name, schema) in self.out.take_definitions(true) {
            if let Some(other) = all.insert(name.clone(), schema.clone()) {
                assert_eq!(other, schema, "{name} is one thing coming in and another going out");
            }
        }
        amend(&mut all);
        all
    }

    /// The schema of a request body.
    pub(crate) fn comes_in(&mut self, shape: Shape) -> Value {
        schema(&mut self.r#in, shape).expect("a body has a shape").to_value()
    }

    /// The schema of the body of a success; none where it has no body.
    pub(crate) fn goes_out(&mut self, shape: Shape) -> Option<Value> {
        schema(&mut self.out, shape).map(Schema::to_value)
    }

    /// The schema of a problem document.
    pub(crate) fn problem(&mut self) -> Value {
        self.out.subschema_for::<Problem>().to_value()
    }

    /// Schema and example of a parameter of a path.
    pub(crate) fn identifier(&mut self, path: &Path, name: &str) -> (Value, &'static str) {
        let (schema, example) = match name {
            "org" => (self.r#in.subschema_for::<OrgId>(), "acme"),
            "state" => (self.r#in.subschema_for::<AuthorizationState>(), STATE),
            "provider" => (self.r#in.subschema_for::<ProviderId>(), "github"),
            "name" if path.template.contains("/secrets/") => {
                (self.r#in.subschema_for::<SecretName>(), "webhook-signing-key")
            }
            "name" => (self.r#in.subschema_for::<ConnectionName>(), "main"),
            _ => unreachable!("{}: what is {name}?", path.template),
        };
        (schema.to_value(), example)
    }

    /// A query parameter.
    pub(crate) fn parameter(&mut self, known: &Parameter) -> Value {
        let mut schema = self.kind(known.kind);
        bound(&mut schema);
        json!({ "name": known.name, "in": "query", "description": known.about, "schema": schema })
    }

    fn kind(&mut self, kind: Kind) -> Value {
        match kind {
            Kind::Action => {
                let words: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
                json!({ "type": "string", "enum": words })
            }
            Kind::Cursor => json!({ "type": "string", "pattern": "^[0-9a-f]{32}$" }),
            Kind::Flag => json!({ "type": "string", "enum": ["false", "true"] }),
            Kind::Limit => json!({
                "type": "integer", "minimum": 1, "maximum": limits::PAGE, "default": limits::PAGE_UNSAID,
            }),
            Kind::MinTtl => json!({
                "type": "integer", "minimum": 0, "maximum": limits::MIN_TTL, "default": limits::MIN_TTL_UNSAID,
            }),
            Kind::Moment => self.r#in.subschema_for::<Moment>().to_value(),
            Kind::Number => json!({ "type": "integer", "format": "uint64", "minimum": 0 }),
            Kind::Org => self.r#in.subschema_for::<OrgId>().to_value(),
            Kind::Place => json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" }),
            Kind::Provider => self.r#in.subschema_for::<ProviderId>().to_value(),
            Kind::State => self.r#in.subschema_for::<wire::ConnectionState>().to_value(),
            Kind::Text => json!({ "type": "string" }),
            Kind::Within => json!({
                "type": "integer", "minimum": 0, "maximum": limits::EXPIRES_IN,
                "default": limits::EXPIRING_WITHIN_UNSAID,
            }),
            Kind::Version => json!({ "type": "integer", "format": "uint64", "minimum": 1 }),
        }
    }
}

fn schema(generator: &mut SchemaGenerator, shape: Shape) -> Option<Schema> {
    fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<T>())
    }
    match shape {
        Shape::AlertTestOut => of::<wire::AlertTestOut>(generator),
        Shape::AlertsOut => of::<wire::AlertsOut>(generator),
        Shape::AuditEntries => of::<wire::Page<Value>>(generator),
        Shape::AuditVerifyOut => of::<wire::AuditVerifyOut>(generator),
        Shape::AuthorizationOut => of::<wire::AuthorizationOut>(generator),
        Shape::AuthorizationRequest => of::<wire::AuthorizationRequest>(generator),
        Shape::BatchOut => of::<wire::BatchOut>(generator),
        Shape::BatchRequest => of::<wire::BatchRequest>(generator),
        Shape::CompleteRequest => of::<wire::CompleteRequest>(generator),
        Shape::ConnectionOut => of::<wire::ConnectionOut>(generator),
        Shape::Connections => of::<wire::Page<wire::ConnectionOut>>(generator),
        Shape::ConsentIn => of::<wire::ConsentIn>(generator),
        Shape::ConsentOut => of::<wire::ConsentOut>(generator),
        Shape::Consents => of::<wire::Page<wire::ConsentOut>>(generator),
        Shape::DecryptOut => of::<wire::DecryptOut>(generator),
        Shape::DecryptRequest => of::<wire::DecryptRequest>(generator),
        Shape::Deleted => of::<wire::Deleted>(generator),
        Shape::DoctorOut => of::<wire::DoctorOut>(generator),
        Shape::EncryptOut => of::<wire::EncryptOut>(generator),
        Shape::EncryptRequest => of::<wire::EncryptRequest>(generator),
        Shape::Expiring => of::<wire::Page<wire::ExpiringOut>>(generator),
        Shape::ImportIn => of::<import::ImportIn>(generator),
        Shape::ImportOut => of::<import::ImportOut>(generator),
        Shape::BackupsOut => of::<wire::BackupsOut>(generator),
        Shape::KeysOut => of::<wire::KeysOut>(generator),
        Shape::Metrics => Some(json_schema!({ "type": "string" })),
        Shape::Nothing => None,
        Shape::OrgOut => of::<wire::OrgOut>(generator),
        Shape::Orgs => of::<wire::Page<wire::OrgOut>>(generator),
        Shape::PassOut => of::<wire::PassOut>(generator),
        Shape::PassRequest => of::<wire::PassRequest>(generator),
        Shape::ProviderCheckOut => of::<wire::ProviderCheckOut>(generator),
        Shape::ProviderOut => of::<wire::ProviderOut>(generator),
        Shape::Providers => of::<wire::Page<wire::ProviderOut>>(generator),
        Shape::OrgKeysOut => of::<wire::OrgKeysOut>(generator),
        Shape::OrgRotationIn => of::<wire::OrgRotationIn>(generator),
        Shape::OrgRotationOut => of::<wire::OrgRotationOut>(generator),
        Shape::RetireIn => of::<wire::RetireIn>(generator),
        Shape::RetireOut => of::<wire::RetireOut>(generator),
        Shape::ReleaseIn => of::<wire::ReleaseIn>(generator),
        Shape::ReleaseOut => of::<wire::ReleaseOut>(generator),
        Shape::RefreshRequest => of::<wire::RefreshRequest>(generator),
        Shape::RefreshTokenOut => of::<wire::RefreshTokenOut>(generator),
        Shape::RevocationsOut => of::<wire::RevocationsOut>(generator),
        Shape::SecretIn => of::<wire::SecretIn>(generator),
        Shape::SecretInfo => of::<wire::SecretInfo>(generator),
        Shape::SecretOut => of::<wire::SecretOut>(generator),
        Shape::Secrets => of::<wire::Page<wire::SecretInfo>>(generator),
        Shape::Status => of::<wire::Status>(generator),
        Shape::Token => of::<wire::Token>(generator),
        Shape::TokenSet => of::<wire::TokenSet>(generator),
    }
}

/// `If-Match` and `If-None-Match`.
pub(crate) fn conditions() -> [Value; 2] {
    [
        json!({
            "name": "If-Match", "in": "header",
            "description": "Only if the connection has this generation. Not together with If-None-Match.",
            "schema": { "type": "string", "minLength": 3, "maxLength": 21, "pattern": "^\"[0-9]+\"$" },
            "example": "\"7\"",
        }),
        json!({
            "name": "If-None-Match", "in": "header",
            "description": "Only if there is no such connection.",
            "schema": { "type": "string", "enum": ["*"] },
        }),
    ]
}

/// What the daemon knows and a shape does not: the words of the policy.
fn amend(schemas: &mut Map<String, Value>) {
    if let Some(asked) = schemas.get_mut("PassRequest") {
        let grantable = Action::ALL.iter().filter(|action| is_grantable(**action));
        let words: Vec<&str> = grantable.map(|action| action.as_str()).collect();
        let actions = &mut asked["properties"]["actions"];
        actions["minItems"] = 1.into();
        actions["items"]["enum"] = words.into();
        let ttl = &mut asked["properties"]["ttl"];
        (ttl["minimum"], ttl["maximum"]) = (1.into(), pass::LONGEST.into());
    }
}

/// Says of each number that comes in what its format means: JSON Schema counts a format as a remark.
fn bound(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(bound),
        Value::Object(fields) => {
            let most = match fields.get("format").and_then(Value::as_str) {
                Some("uint64") => Some(u64::MAX),
                Some("uint32") => Some(u64::from(u32::MAX)),
                Some("uint16") => Some(u64::from(u16::MAX)),
                _ => None,
            };
            if let Some(most) = most {
                fields.entry("maximum").or_insert_with(|| most.into());
            }
            fields.values_mut().for_each(bound);
        }
        _ => {}
    }
}
