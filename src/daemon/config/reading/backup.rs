//! `[backup]`: where to, for whom, how often.
//!
//! Never a key that opens one: recipients are public.

use std::time::Duration;

use toml::Spanned;

use super::{Reading, Text};
use crate::crypto::age::Recipient;
use crate::crypto::root_key::aws;
use crate::daemon::config::error::ConfigError;
use crate::daemon::config::written;
use crate::service::backup::repository::s3;
use crate::service::backup::{Place, Settings};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// Each has a line in every object.
const MOST_RECIPIENTS: usize = 20;

impl Reading<'_> {
    pub(super) fn backup(
        &self,
        written: &Spanned<written::Backup>,
        whole: &written::Written,
    ) -> Result<Settings, ConfigError> {
        let backup = written.get_ref();
        let usual = |seconds| Duration::from_secs(seconds);
        Ok(Settings {
            place: self.backup_place(written, whole)?,
            recipients: self.recipients(written)?,
            every: self.span_within(backup.every.as_ref(), usual(6 * HOUR), MINUTE..=7 * DAY)?,
            ship: self.span_within(backup.ship.as_ref(), usual(30), 1..=MINUTE)?,
            keep: self.span_within(backup.keep.as_ref(), usual(30 * DAY), HOUR..=3650 * DAY)?,
            drill: self.span_within(backup.drill.as_ref(), usual(7 * DAY), HOUR..=90 * DAY)?,
        })
    }

    fn backup_place(
        &self,
        written: &Spanned<written::Backup>,
        whole: &written::Written,
    ) -> Result<Place, ConfigError> {
        let backup = written.get_ref();
        match (&backup.directory, &backup.url) {
            (Some(directory), None) => self.backup_directory(directory, backup, whole),
            (None, Some(url)) => Ok(Place::Bucket(self.bucket(url, backup, &whole.environment)?)),
            (Some(_), Some(url)) => Err(self.refuse(url, "both directory and url", "remove one")),
            (None, None) => {
                let mend = "add directory = \"/…\" or url = \"s3://BUCKET/PREFIX\" to [backup]";
                Err(self.refuse(written, "nothing says where backups go", mend))
            }
        }
    }

    fn bucket(
        &self,
        url: &Text,
        backup: &written::Backup,
        environment: &Text,
    ) -> Result<s3::Settings, ConfigError> {
        let rest = url.get_ref().strip_prefix("s3://").unwrap_or_default();
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        if !s3::is_bucket(bucket) || !(prefix.is_empty() || s3::is_prefix(prefix)) {
            let mend = "write s3://BUCKET/PREFIX, the prefix with letters, digits and -_./";
            return Err(self.refuse(url, "not a bucket", mend));
        }
        let region = backup.region.as_ref().ok_or_else(|| {
            self.refuse(url, "nothing says in which region the bucket is", "add region = \"…\" to [backup]")
        })?;
        self.backup_region(region, backup)?;
        let roots = self.roots(backup.ca.as_ref())?;
        let endpoint = |text: Option<&Text>| text.map(|text| self.endpoint(text, environment)).transpose();
        Ok(s3::Settings {
            bucket: bucket.to_owned(),
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            region: region.get_ref().clone(),
            endpoint: endpoint(backup.endpoint.as_ref())?,
            sts_endpoint: endpoint(backup.sts_endpoint.as_ref())?,
            roots,
        })
    }

    fn backup_region(&self, region: &Text, backup: &written::Backup) -> Result<(), ConfigError> {
        if !aws::is_region(region.get_ref()) {
            return Err(self.refuse(region, "not a region", "use its code, like eu-central-1"));
        }
        let Some(allowed) = &backup.allowed_regions else { return Ok(()) };
        if allowed.get_ref().iter().any(|one| one.get_ref() == region.get_ref()) {
            return Ok(());
        }
        Err(self.refuse(region, "not one of allowed_regions", "name a bucket in one of them"))
    }

    fn backup_directory(
        &self,
        directory: &Text,
        backup: &written::Backup,
        whole: &written::Written,
    ) -> Result<Place, ConfigError> {
        let of_a_bucket = [&backup.region, &backup.endpoint, &backup.sts_endpoint, &backup.ca];
        let of_a_bucket = of_a_bucket.into_iter().flatten().next();
        if let Some(other) = of_a_bucket {
            return Err(self.refuse(other, "a directory has none", "remove it, or name a bucket with url"));
        }
        if let Some(regions) = &backup.allowed_regions {
            return Err(self.refuse(regions, "a directory has none", "remove it, or name a bucket with url"));
        }
        let path = self.absolute(directory)?;
        let state = self.absolute(&whole.state_directory)?;
        if path.starts_with(&state) || state.starts_with(&path) {
            let mend = "name a directory elsewhere: another disk, best another machine's";
            return Err(self.refuse(directory, "the backup would go with what it is a backup of", mend));
        }
        Ok(Place::Directory(path))
    }

    fn recipients(&self, written: &Spanned<written::Backup>) -> Result<Vec<Recipient>, ConfigError> {
        let mend = "make a key elsewhere with age-keygen, keep it there, and add recipients = [\"age1…\"]";
        let Some(named) = written.get_ref().recipients.as_ref().filter(|named| !named.get_ref().is_empty())
        else {
            return Err(self.refuse(written, "nobody could open the backups", mend));
        };
        if named.get_ref().len() > MOST_RECIPIENTS {
            return Err(self.refuse(named, "too many", format!("name {MOST_RECIPIENTS} at the most")));
        }
        let mut recipients = Vec::new();
        for text in named.get_ref() {
            let recipient = Recipient::parse(text.get_ref());
            let recipient = recipient.ok_or_else(|| {
                let mend = "write it as age-keygen -y shows it: age1…, an X25519 key";
                self.refuse(text, "not a recipient of age", mend)
            })?;
            if recipients.contains(&recipient) {
                return Err(self.refuse(text, "named twice", "remove one"));
            }
            recipients.push(recipient);
        }
        Ok(recipients)
    }
}
