//! Requests with places for numbers: filled in before each is sent, at the cost of a few bytes.
//!
//! In a text, `OOOO` stands for the org, `SSSSSS` for the slot in it, `NNNNNN` for one slot after another.
//!
//! Never of another length than the one before.

/// Orgs over which the connections are spread.
pub(crate) const ORGS: u32 = 100;

#[derive(Debug, Clone, Copy)]
enum Which {
    Next(u32),
    Org,
    Slot,
}

/// A request, or a piece of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    places: Vec<(usize, usize, Which)>,
    slots: u32,
}

impl Template {
    fn new(text: &str, keys: u32) -> Self {
        let (mut places, mut next) = (Vec::new(), 0);
        for (at, _) in text.match_indices("OOOO") {
            places.push((at, 4, Which::Org));
        }
        for (at, _) in text.match_indices("SSSSSS") {
            places.push((at, 6, Which::Slot));
        }
        for (at, _) in text.match_indices("NNNNNN") {
            places.push((at, 6, Which::Next(next)));
            next += 1;
        }
        Self { bytes: text.as_bytes().to_vec(), places, slots: keys / ORGS }
    }

    /// The text for one key.
    pub(crate) fn of(&mut self, key: u32) -> &[u8] {
        let (org, slot) = (key % ORGS, key / ORGS % self.slots);
        for (at, width, which) in &self.places {
            let mut number = match which {
                Which::Next(after) => (slot + after) % self.slots,
                Which::Org => org,
                Which::Slot => slot,
            };
            for digit in self.bytes[*at..*at + *width].iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
        &self.bytes
    }
}

/// Tokens in a batch.
pub(crate) const BATCH: usize = 100;

/// What is asked of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// One token, of a server that gives the same to everybody.
    Bare,
    /// 100 tokens of an org.
    Batch,
    /// Redis: one value.
    Get,
    /// A connection of its own for one request.
    Handshake,
    /// An org.
    Org,
    /// A token set.
    Put,
    /// One token.
    Read,
    /// Redis: one value, stored.
    Set,
}

impl Act {
    const ALL: [(&'static str, Self); 8] = [
        ("bare", Self::Bare),
        ("batch", Self::Batch),
        ("get", Self::Get),
        ("handshake", Self::Handshake),
        ("org", Self::Org),
        ("put", Self::Put),
        ("read", Self::Read),
        ("set", Self::Set),
    ];

    pub(crate) fn parse(word: &str) -> Self {
        Self::ALL.iter().find(|(name, _)| *name == word).expect("an act").1
    }

    pub(crate) fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, act)| *act == self).expect("an act").0
    }

    pub(crate) fn speaks_http(self) -> bool {
        !matches!(self, Self::Get | Self::Set)
    }

    /// The request.
    pub(crate) fn request(self, keys: u32) -> Template {
        let text = match self {
            Self::Batch => {
                let one = format!("{{\"provider\":\"{PROVIDER}\",\"name\":\"{}\"}}", NAME.replace('S', "N"));
                let body = format!("{{\"connections\":[{}]}}", vec![one; BATCH].join(","));
                http("POST", "/v1/orgs/customer-OOOO/tokens", Some(&body))
            }
            Self::Get => resp(&["GET", &path()]),
            Self::Handshake => http("GET", "/healthz", None),
            Self::Org => http("PUT", "/v1/orgs/customer-OOOO", None),
            Self::Put => http("PUT", &path(), Some(&token_set())),
            Self::Bare | Self::Read => http("GET", &format!("{}/token", path()), None),
            Self::Set => resp(&["SET", &path(), &answer_body()]),
        };
        Template::new(&text, keys)
    }

    /// What stands in the answer to that very request, and in no other.
    pub(crate) fn proof(self, keys: u32) -> Option<Template> {
        matches!(self, Self::Batch | Self::Get | Self::Read).then(|| Template::new(TOKEN, keys))
    }
}

const PROVIDER: &str = "github";
const NAME: &str = "user-SSSSSS@mail.example.com";
const TOKEN: &str = "gho_OOOOSSSSSS";

fn path() -> String {
    format!("/v1/orgs/customer-OOOO/connections/{PROVIDER}/{NAME}")
}

fn access_token() -> String {
    format!("{TOKEN}{}", "q".repeat(200 - TOKEN.len()))
}

fn token_set() -> String {
    format!(
        "{{\"access_token\":\"{}\",\"refresh_token\":\"ghr_OOOOSSSSSS{}\",\"expires_in\":864000,\"scope\":\"read:org repo:status\"}}",
        access_token(),
        "r".repeat(66)
    )
}

/// As long as the daemon's.
fn answer_body() -> String {
    format!(
        "{{\"access_token\":\"{}\",\"token_type\":\"Bearer\",\"expires_at\":\"2026-01-01T00:00:00Z\",\
         \"scopes\":[\"read:org\",\"repo:status\"],\"generation\":1}}",
        access_token()
    )
}

fn http(method: &str, path: &str, body: Option<&str>) -> String {
    let fields = body.map_or_else(String::new, |body| {
        format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len())
    });
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n{}", body.unwrap_or_default())
}

fn resp(words: &[&str]) -> String {
    let words: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{words}", words.matches("\r\n$").count() + 1)
}
