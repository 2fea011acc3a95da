//! Identifiers of the contract: org, provider, connection name, secret name, key name.
//!
//! Each is parsed once, at the edge; whoever holds one holds a valid one. Names of connections and
//! secrets never contain `..`, so no identifier can climb out of a path.
//!
//! Never built from unchecked text.

use std::borrow::Borrow;
use std::fmt;

/// Why a text is not an identifier. Says the rule, never the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidId {
    /// The rule, ready to be shown to the caller.
    pub rule: &'static str,
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule)
    }
}

impl std::error::Error for InvalidId {}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $rule:literal, $grammar:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            #[cfg(feature = "schema")]
            pub(crate) const GRAMMAR: Grammar = $grammar;

            /// Parses an identifier.
            ///
            /// # Errors
            /// The rule that the text breaks.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                const GRAMMAR: Grammar = $grammar;
                if GRAMMAR.takes(text.as_bytes()) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidId { rule: $rule })
                }
            }

            /// The text, as the caller wrote it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

identifier!(
    /// A tenant: `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
    OrgId,
    "an org is 1 to 128 characters of A-Z a-z 0-9 . _ - and starts with a letter or digit",
    Grammar { first: ALNUM, rest: ORG, most: 128, dots: Dots::Free }
);

identifier!(
    /// A configured OAuth issuer: `[a-z0-9][a-z0-9-]{0,62}`.
    ProviderId,
    "a provider is 1 to 63 characters of a-z 0-9 - and starts with a letter or digit",
    Grammar { first: PROVIDER_FIRST, rest: PROVIDER, most: 63, dots: Dots::Free }
);

identifier!(
    /// The name of a connection: `[A-Za-z0-9][A-Za-z0-9._@:+-]{0,254}`, no `..`.
    ConnectionName,
    "a connection name is 1 to 255 characters of A-Z a-z 0-9 . _ @ : + - , starts with a letter or digit and has no ..",
    NAMES
);

identifier!(
    /// The name of a secret: `[A-Za-z0-9][A-Za-z0-9._@:+-]{0,254}`, no `..`.
    SecretName,
    "a secret name is 1 to 255 characters of A-Z a-z 0-9 . _ @ : + - , starts with a letter or digit and has no ..",
    NAMES
);

identifier!(
    /// The name of a retired application key in the configuration: `[a-z0-9][a-z0-9-]{0,62}`.
    KeyName,
    "a key name is 1 to 63 characters of a-z 0-9 - and starts with a letter or digit",
    Grammar { first: PROVIDER_FIRST, rest: PROVIDER, most: 63, dots: Dots::Free }
);

identifier!(
    /// Names an authorization that was begun: made by the daemon, from chance.
    AuthorizationState,
    "a state is up to 64 characters of a-z 0-9, as the authorization was answered with",
    Grammar { first: PROVIDER_FIRST, rest: PROVIDER_FIRST, most: 64, dots: Dots::Free }
);

/// One granted account of an org: `provider/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct ConnectionId {
    /// The configured issuer.
    pub provider: ProviderId,
    /// The name that the application chose.
    pub name: ConnectionName,
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.name)
    }
}

impl std::str::FromStr for ConnectionId {
    type Err = InvalidId;

    /// Parses `provider/name`.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (provider, name) =
            text.split_once('/').ok_or(InvalidId { rule: "a connection is written PROVIDER/NAME" })?;
        Ok(Self { provider: provider.parse()?, name: name.parse()? })
    }
}

/// By name alone. A derived struct takes an array too, field by field: whoever mixed up the order would ask for
/// another connection than the one meant.
impl<'de> serde::Deserialize<'de> for ConnectionId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            provider: ProviderId,
            name: ConnectionName,
        }
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = ConnectionId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with provider and name")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<ConnectionId, A::Error> {
                let map = serde::de::value::MapAccessDeserializer::new(map);
                let Written { provider, name } = serde::Deserialize::deserialize(map)?;
                Ok(ConnectionId { provider, name })
            }
        }
        d.deserialize_map(Visitor)
    }
}

const NAMES: Grammar = Grammar { first: ALNUM, rest: NAME, most: 255, dots: Dots::Apart };

/// The rule of an identifier.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grammar {
    /// Class of the first byte.
    first: u8,
    /// Class of the others.
    rest: u8,
    /// Bytes at the most.
    pub(crate) most: usize,
    dots: Dots,
}

/// Whether dots may follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dots {
    Apart,
    Free,
}

impl Grammar {
    fn takes(self, text: &[u8]) -> bool {
        follows(text, self.most, self.first, self.rest) && (self.dots == Dots::Free || !has_two_dots(text))
    }

    /// The same as a regular expression of ECMA 262, made from the table that parses. Its length stands apart.
    #[cfg(feature = "schema")]
    pub(crate) fn pattern(self) -> String {
        let (first, rest) = (class(self.first, b""), class(self.rest, b""));
        match self.dots {
            Dots::Apart => format!("^{first}(\\.?{})*\\.?$", class(self.rest, b".")),
            Dots::Free => format!("^{first}{rest}*$"),
        }
    }
}

/// The bytes of a class as a bracket expression: whole alphabets, then the others, the hyphen last.
#[cfg(feature = "schema")]
fn class(bits: u8, without: &[u8]) -> String {
    let is_in = |byte: &u8| CLASSES[usize::from(*byte)] & bits != 0 && !without.contains(byte);
    let mut rest: Vec<u8> = (0..128).filter(is_in).collect();
    let mut text = String::from("[");
    for (first, last) in [(b'A', b'Z'), (b'a', b'z'), (b'0', b'9')] {
        if (first..=last).all(|byte| is_in(&byte)) {
            rest.retain(|byte| !(first..=last).contains(byte));
            text.extend([char::from(first), '-', char::from(last)]);
        }
    }
    rest.sort_unstable_by_key(|byte| (*byte == b'-', *byte));
    text.extend(rest.into_iter().map(char::from));
    text + "]"
}

/// Alphabets, as bits of a byte's class.
const ALNUM: u8 = 1;
const ORG: u8 = 2;
const NAME: u8 = 4;
const PROVIDER_FIRST: u8 = 8;
const PROVIDER: u8 = 16;

/// The class of each byte: identifiers are parsed on every request.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        if byte.is_ascii_alphanumeric() {
            classes[at] |= ALNUM | ORG | NAME;
        }
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() {
            classes[at] |= PROVIDER_FIRST | PROVIDER;
        }
        if matches!(byte, b'.' | b'_' | b'-') {
            classes[at] |= ORG;
        }
        if matches!(byte, b'.' | b'_' | b'@' | b':' | b'+' | b'-') {
            classes[at] |= NAME;
        }
        if byte == b'-' {
            classes[at] |= PROVIDER;
        }
        at += 1;
    }
    classes
};

fn follows(text: &[u8], most: usize, first: u8, rest: u8) -> bool {
    let class = |byte: u8| CLASSES[usize::from(byte)];
    let Some((&head, tail)) = text.split_first() else {
        return false;
    };
    // Without an early end: the next byte does not wait for the verdict on this one.
    text.len() <= most
        && class(head) & first != 0
        && tail.iter().fold(rest, |all, &byte| all & class(byte)) == rest
}

fn has_two_dots(text: &[u8]) -> bool {
    let pairs = text.iter().zip(text.get(1..).unwrap_or_default());
    pairs.fold(false, |any, (one, next)| any | (*one == b'.' && *next == b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_follow_the_contract() {
        assert!(OrgId::parse("Acme.eu_1-x").is_ok());
        for bad in ["", ".a", "-a", "a/b", "a b", "ä", &"a".repeat(129)] {
            assert!(OrgId::parse(bad).is_err(), "{bad}");
        }
        assert!(ProviderId::parse("github-app").is_ok());
        for bad in ["GitHub", "-a", "a.b", "", &"a".repeat(64)] {
            assert!(ProviderId::parse(bad).is_err(), "{bad}");
        }
        assert!(ConnectionName::parse("jane+ci@example.com:1").is_ok());
        for bad in ["a..b", "@a", "a/b", "a%2f", "", &"a".repeat(256)] {
            assert!(ConnectionName::parse(bad).is_err(), "{bad}");
            assert!(SecretName::parse(bad).is_err(), "{bad}");
        }
        let id: ConnectionId = "github/main".parse().expect("valid");
        assert_eq!(id.to_string(), "github/main");
        for bad in ["github", "github/", "/main", "github/main/x"] {
            assert!(bad.parse::<ConnectionId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_connection_is_read_by_name_and_never_by_order() {
        let read = |text: &str| serde_json::from_str::<ConnectionId>(text);
        let id = read(r#"{"name":"main","provider":"github"}"#).expect("reads");
        assert_eq!(id, "github/main".parse().expect("valid"));
        let misspelt = r#"{"provider":"github","name":"main","org":"acme"}"#;
        for bad in [r#"["github","main"]"#, r#""github/main""#, r#"{"provider":"github"}"#, misspelt] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let twice = r#"{"provider":"github","name":"main","name":"other"}"#;
        assert!(read(twice).is_err());
    }
}
