//! Backups in a bucket: S3, and what speaks like it.
//!
//! The hard problem: a well-kept crate for it (`object_store`) brings its own HTTP, and everything that leaves this daemon
//! leaves by one door. The answer: the five acts that are needed, over that door, signed by AWS's own crate; each is
//! retried, each write is conditional, and what was written is read back by whoever wrote it.
//!
//! Never follows a redirect: a bucket in another region than the configured one is refused.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Repository, RepositoryError, Stored, xml};
use crate::crypto::digest;
use crate::crypto::random;
use crate::crypto::root_key::aws::signer::Signer;
use crate::crypto::root_key::remote;
use crate::crypto::root_key::{Reach, SourceError};
use crate::net::destination::Destination;
use crate::net::outbound::{Answer, Deadlines, Door, Endpoint, Request, Roots};

/// Sent at once; a larger object goes in parts of this length (Amazon S3 User Guide, "Multipart upload limits": 5 MiB at
/// the least, 10,000 parts).
const PART: u64 = 8 << 20;
const MOST_PARTS: u64 = 10_000;
/// What a listing may take: a thousand keys.
const LONGEST_LISTING: usize = 4 << 20;
const LONGEST_ERROR: usize = 64 * 1024;
const TRIES: u32 = 6;
const DEADLINES: Deadlines = Deadlines { connect: Duration::from_secs(10), whole: Duration::from_secs(180) };

/// Which bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name.
    pub bucket: String,
    /// What stands before the name of each object, with a slash at its end; empty where nothing does.
    pub prefix: String,
    /// Where it is.
    pub region: String,
    /// Where S3 is, unless at the usual place of the region.
    pub endpoint: Option<Endpoint>,
    /// Where the Security Token Service is, likewise.
    pub sts_endpoint: Option<Endpoint>,
    /// Whom to trust.
    pub roots: Roots,
}

impl Settings {
    /// Where requests go, and what stands before the name of an object in their path.
    fn address(&self) -> Option<(Endpoint, String)> {
        match &self.endpoint {
            Some(endpoint) => Some((endpoint.clone(), format!("/{}/", self.bucket))),
            // A name with dots fits no certificate (Amazon S3 User Guide, "Virtual hosting of buckets").
            None if self.bucket.contains('.') => {
                Some((usual(&format!("s3.{}", self.region), &self.region)?, format!("/{}/", self.bucket)))
            }
            None => {
                Some((usual(&format!("{}.s3.{}", self.bucket, self.region), &self.region)?, "/".to_owned()))
            }
        }
    }

    /// Where backing up may lead.
    #[must_use]
    pub fn destinations(&self) -> Vec<Destination> {
        let of_bucket = self.address().map(|(endpoint, _)| endpoint.destination().clone());
        let of_credentials =
            crate::crypto::root_key::aws::signer::destinations(&self.region, self.sts_endpoint.clone());
        of_bucket.into_iter().chain(of_credentials).collect()
    }

    /// What backing up touches, by this door.
    #[must_use]
    pub fn reach(&self, door: &Door) -> Reach {
        let reach = self.signer(door).reach();
        let endpoint = self.address().map(|(endpoint, _)| endpoint);
        reach.and_asks(endpoint.as_ref(), &self.roots)
    }

    fn signer(&self, door: &Door) -> Signer {
        let (sts, roots) = (self.sts_endpoint.clone(), self.roots.clone());
        Signer::new(&self.region, sts, roots, door.clone(), Box::new(remote::environment))
    }
}

fn usual(host: &str, region: &str) -> Option<Endpoint> {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    Endpoint::parse(&format!("https://{host}.{domain}"))
}

/// Whether it can be the name of a bucket (Amazon S3 User Guide, "Bucket naming rules").
#[must_use]
pub fn is_bucket(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let ends = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    (3..=63).contains(&name.len())
        && name.bytes().all(plain)
        && ends(name.as_bytes().first())
        && ends(name.as_bytes().last())
        && !name.contains("..")
}

/// Whether it can stand before the names of objects: nothing that would have to be encoded.
#[must_use]
pub fn is_prefix(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
    text.len() <= 512
        && text.bytes().all(plain)
        && !text.split('/').any(|part| matches!(part, "" | "." | ".."))
}

/// A bucket.
pub struct Bucket {
    settings: Settings,
    endpoint: Endpoint,
    base: String,
    door: Door,
    signer: Signer,
}

/// What is asked.
struct Ask<'a> {
    method: &'static str,
    /// Of the object, with its prefix; empty: the bucket.
    key: &'a str,
    query: &'a str,
    headers: &'a [(&'static str, String)],
    body: &'a [u8],
    most: usize,
}

impl<'a> Ask<'a> {
    fn new(method: &'static str, key: &'a str) -> Self {
        Self { method, key, query: "", headers: &[], body: &[], most: LONGEST_ERROR }
    }
}

impl Bucket {
    /// By this door; none where the region has no endpoint.
    #[must_use]
    pub fn new(settings: Settings, door: &Door) -> Option<Self> {
        let (endpoint, base) = settings.address()?;
        let signer = settings.signer(door);
        Some(Self { settings, endpoint, base, door: door.clone(), signer })
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.settings.prefix)
    }

    /// Asks until there is an answer that stays; how often it took.
    fn ask(&self, ask: &Ask<'_>) -> Result<(Answer, u32), RepositoryError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let (why, wait) = match self.ask_once(ask) {
                Ok(answer) if !is_passing(answer.status) => return Ok((answer, tries)),
                Ok(answer) => (self.refusal(ask, &answer), answer.retry_after),
                Err(Failed::ForNow(why)) => (why, None),
                Err(Failed::ForGood(why)) => return Err(why),
            };
            if tries >= TRIES {
                return Err(why);
            }
            thread::sleep(wait.unwrap_or_else(|| pause(tries)).min(Duration::from_secs(30)));
        }
    }

    fn ask_once(&self, ask: &Ask<'_>) -> Result<Answer, Failed> {
        let query = if ask.query.is_empty() { String::new() } else { format!("?{}", ask.query) };
        let mut request = Request::new(ask.method, format!("{}{}{query}", self.base, ask.key));
        for (name, value) in ask.headers {
            request = request.with_header(name, Zeroizing::new(value.clone()));
        }
        if !ask.body.is_empty() {
            request = request.with_body("application/octet-stream", Zeroizing::new(ask.body.to_vec()));
        }
        let signed = self.signer.sign(request, &self.endpoint).map_err(|why| of_credentials(&why))?;
        let (roots, most) = (&self.settings.roots, ask.most);
        self.door.exchange(&self.endpoint, roots, signed, most, DEADLINES).map_err(|why| {
            let said = format!("{} {why}", self.endpoint);
            if why.is_retryable() {
                Failed::ForNow(RepositoryError::Unavailable(said))
            } else {
                Failed::ForGood(RepositoryError::Refused(said))
            }
        })
    }

    /// As [`Bucket::ask`], for what must succeed.
    fn insist(&self, ask: &Ask<'_>) -> Result<Answer, RepositoryError> {
        let (answer, _) = self.ask(ask)?;
        if (200..300).contains(&answer.status) { Ok(answer) } else { Err(self.refusal(ask, &answer)) }
    }

    /// What S3 says, in words of ours.
    fn refusal(&self, ask: &Ask<'_>, answer: &Answer) -> RepositoryError {
        let code = xml::first(&answer.body, "Code").unwrap_or_default();
        let said = format!("bucket {}: status {} {code}", self.settings.bucket, answer.status);
        if matches!(code.as_str(), "ExpiredToken" | "InvalidAccessKeyId" | "InvalidToken") {
            self.signer.forget();
        }
        match (answer.status, code.as_str()) {
            (404, "NoSuchBucket") => {
                RepositoryError::Refused(format!("{said}; make it, or correct url in [backup]"))
            }
            (404, _) => RepositoryError::Absent(format!("s3://{}/{}", self.settings.bucket, ask.key)),
            (412 | 409, _) => {
                RepositoryError::AlreadyThere(format!("s3://{}/{}", self.settings.bucket, ask.key))
            }
            (301 | 307 | 400, _) => {
                RepositoryError::Refused(format!("{said}; see that it is in region {}", self.settings.region))
            }
            (401 | 403, _) => RepositoryError::Refused(format!(
                "{said}; the role needs s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject and \
                 s3:AbortMultipartUpload there"
            )),
            _ => RepositoryError::Unavailable(said),
        }
    }

    fn put_whole(&self, key: &str, body: &[u8]) -> Result<(), RepositoryError> {
        let headers = [("if-none-match", "*".to_owned()), checksum(body)];
        let ask = Ask { headers: &headers, body, ..Ask::new("PUT", key) };
        let (answer, tries) = self.ask(&ask)?;
        match answer.status {
            200..300 => Ok(()),
            // An earlier try of ours came through, and its answer did not. Whoever put it reads it back.
            412 if tries > 1 => Ok(()),
            _ => Err(self.refusal(&ask, &answer)),
        }
    }

    fn put_in_parts(&self, key: &str, content: &File, bytes: u64) -> Result<(), RepositoryError> {
        let begun = self.insist(&Ask { query: "uploads=", ..Ask::new("POST", key) })?;
        let id = xml::first(&begun.body, "UploadId").filter(|id| is_plain_id(id));
        let id =
            id.ok_or_else(|| RepositoryError::Unavailable("S3 began an upload without a name".into()))?;
        let sent = self.send_parts(key, &id, content, bytes);
        if sent.is_err() {
            // What is left would be paid for.
            drop(
                self.ask_once(&Ask {
                    query: &format!("uploadId={}", encoded(&id)),
                    ..Ask::new("DELETE", key)
                }),
            );
        }
        sent
    }

    fn send_parts(&self, key: &str, id: &str, content: &File, bytes: u64) -> Result<(), RepositoryError> {
        let length = PART.max(bytes.div_ceil(MOST_PARTS));
        let mut listed = String::from("<CompleteMultipartUpload>");
        let mut buffer = Vec::new();
        for (number, at) in (1_u64..).zip((0..bytes).step_by(usize::try_from(length).unwrap_or(usize::MAX))) {
            buffer.resize(usize::try_from(length.min(bytes - at)).unwrap_or(0), 0);
            content.read_exact_at(&mut buffer, at).map_err(|why| unread(&why))?;
            let query = format!("partNumber={number}&uploadId={}", encoded(id));
            let headers = [checksum(&buffer)];
            let ask = Ask { query: &query, headers: &headers, body: &buffer, ..Ask::new("PUT", key) };
            let etag = self.insist(&ask)?.etag.filter(|etag| is_plain_id(etag.trim_matches('"')));
            let etag =
                etag.ok_or_else(|| RepositoryError::Unavailable("S3 took a part without a tag".into()))?;
            listed.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"));
        }
        listed.push_str("</CompleteMultipartUpload>");
        let query = format!("uploadId={}", encoded(id));
        let headers = [("if-none-match", "*".to_owned())];
        let ask = Ask { query: &query, headers: &headers, body: listed.as_bytes(), ..Ask::new("POST", key) };
        let (answer, tries) = self.ask(&ask)?;
        // Errors come with 200 too, once S3 has begun to answer (API reference, CompleteMultipartUpload).
        let failed = xml::first(&answer.body, "Code");
        match (answer.status, failed) {
            (200, None) => Ok(()),
            (404 | 412, _) if tries > 1 => Ok(()),
            (200, Some(code)) => Err(RepositoryError::Unavailable(format!("an upload did not end: {code}"))),
            _ => Err(self.refusal(&ask, &answer)),
        }
    }

    /// One page after the other of what is below a prefix, down to the next slash.
    fn pages(&self, below: &str, mut take: impl FnMut(&[u8])) -> Result<(), RepositoryError> {
        let mut token: Option<String> = None;
        loop {
            let mut query = format!("delimiter=%2F&list-type=2&prefix={}", encoded(below));
            if let Some(token) = &token {
                query = format!("continuation-token={}&{query}", encoded(token));
            }
            let ask = Ask { query: &query, most: LONGEST_LISTING, ..Ask::new("GET", "") };
            let page = self.insist(&ask)?;
            take(&page.body);
            token = xml::first(&page.body, "NextContinuationToken");
            if token.is_none() {
                return Ok(());
            }
        }
    }

    fn below(&self, folder: &str) -> String {
        if folder.is_empty() { self.settings.prefix.clone() } else { format!("{}/", self.key(folder)) }
    }
}

impl Repository for Bucket {
    fn folders(&self, below: &str) -> Result<Vec<String>, RepositoryError> {
        let prefix = self.below(below);
        let mut names = Vec::new();
        self.pages(&prefix, |page| {
            let found =
                xml::all(page, "CommonPrefixes").into_iter().filter_map(|part| xml::first(part, "Prefix"));
            names.extend(
                found.filter_map(|name| Some(name.strip_prefix(&prefix)?.strip_suffix('/')?.to_owned())),
            );
        })?;
        names.sort_unstable();
        Ok(names)
    }

    fn objects(&self, folder: &str) -> Result<Vec<Stored>, RepositoryError> {
        let prefix = self.below(folder);
        let mut objects = Vec::new();
        self.pages(&prefix, |page| {
            let found = xml::all(page, "Contents").into_iter().filter_map(|part| {
                let name = xml::first(part, "Key")?.strip_prefix(&prefix)?.to_owned();
                Some(Stored { name, bytes: xml::first(part, "Size")?.parse().ok()? })
            });
            objects.extend(found.filter(|object| !object.name.is_empty()));
        })?;
        objects.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(objects)
    }

    fn put(&self, name: &str, content: &File, bytes: u64) -> Result<(), RepositoryError> {
        let key = self.key(name);
        if bytes > PART {
            return self.put_in_parts(&key, content, bytes);
        }
        let mut body = vec![0; usize::try_from(bytes).unwrap_or(0)];
        content.read_exact_at(&mut body, 0).map_err(|why| unread(&why))?;
        self.put_whole(&key, &body)
    }

    fn read(&self, name: &str, at: u64, most: usize) -> Result<Vec<u8>, RepositoryError> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let key = self.key(name);
        let range = format!("bytes={at}-{}", at + most as u64 - 1);
        let headers = [("range", range)];
        let ask = Ask { headers: &headers, most: most.max(LONGEST_ERROR), ..Ask::new("GET", &key) };
        let (answer, _) = self.ask(&ask)?;
        match answer.status {
            206 => Ok(answer.body.to_vec()),
            // Without ranges, only what begins at the beginning is it.
            200 if at == 0 => Ok(answer.body.to_vec()),
            416 => Ok(Vec::new()),
            _ => Err(self.refusal(&ask, &answer)),
        }
    }

    fn remove(&self, name: &str) -> Result<(), RepositoryError> {
        let key = self.key(name);
        match self.insist(&Ask::new("DELETE", &key)) {
            Ok(_) | Err(RepositoryError::Absent(_)) => Ok(()),
            Err(why) => Err(why),
        }
    }

    /// A bucket has names, and no folders.
    fn remove_folder(&self, _: &str) -> Result<(), RepositoryError> {
        Ok(())
    }

    fn describe(&self) -> String {
        format!("bucket s3://{}/{} in {}", self.settings.bucket, self.settings.prefix, self.settings.region)
    }
}

/// Why there is no answer.
enum Failed {
    ForGood(RepositoryError),
    ForNow(RepositoryError),
}

fn of_credentials(why: &SourceError) -> Failed {
    let said = why.to_string();
    match why {
        SourceError::Retryable { .. } => Failed::ForNow(RepositoryError::Unavailable(said)),
        SourceError::Refused { .. } | SourceError::Unusable { .. } => {
            Failed::ForGood(RepositoryError::Refused(said))
        }
    }
}

/// Whether it may be another answer in a moment (API reference, "Error responses").
fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// Half a second and twice as long each time, give or take.
fn pause(tries: u32) -> Duration {
    let chance = u64::from(u16::from_be_bytes(random::bytes())) % 250;
    Duration::from_millis((500 << tries.min(6).saturating_sub(1)) + chance)
}

/// S3 refuses what came otherwise; a bucket with object lock takes nothing without it.
fn checksum(body: &[u8]) -> (&'static str, String) {
    ("x-amz-checksum-sha256", digest::base64(body))
}

fn unread(why: &io::Error) -> RepositoryError {
    RepositoryError::Unavailable(format!("what is to be shipped cannot be read: {why}"))
}

/// Names of uploads and tags of parts go back as they came.
fn is_plain_id(id: &str) -> bool {
    (1..=2048).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~+/=".contains(&b))
}

/// For a query (RFC 3986, section 2.3).
fn encoded(text: &str) -> String {
    let is_unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let encode = |b: u8| if is_unreserved(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(bucket: &str) -> Settings {
        Settings {
            bucket: bucket.into(),
            prefix: "vaults/".into(),
            region: "eu-central-1".into(),
            endpoint: None,
            sts_endpoint: None,
            roots: Roots::Host,
        }
    }

    #[test]
    fn a_bucket_is_asked_in_its_own_region_alone() {
        let address = |bucket: &str| settings(bucket).address().map(|(at, base)| format!("{at}{base}"));
        assert_eq!(address("keep").unwrap(), "https://keep.s3.eu-central-1.amazonaws.com/");
        assert_eq!(address("ke.ep").unwrap(), "https://s3.eu-central-1.amazonaws.com/ke.ep/");
    }

    #[test]
    fn what_becomes_part_of_an_address_is_plain() {
        assert!(is_bucket("tokenkeep-backups.example") && is_prefix("a/b-c_1") && is_prefix("a"));
        for wrong in ["", "a", "A-bucket", "-ab", "ab-", "a..b", "a/b", "a b"] {
            assert!(!is_bucket(wrong), "{wrong}");
        }
        for wrong in ["", "/a", "a/", "a//b", "../a", "a b", "a?b", "ä"] {
            assert!(!is_prefix(wrong), "{wrong}");
        }
        assert_eq!(encoded("a/b+c="), "a%2Fb%2Bc%3D");
    }
}
