//! The files of AWS profiles: what the AWS command line and SDKs read.
//!
//! The format is that of the SDK reference guide ("Shared config and credentials files"): sections in brackets,
//! `key = value`, comments; nested lines (`s3 =` with indented lines below) say nothing that is needed here.
//!
//! Never shows a value, and never copies one into memory that is not wiped.

use std::fmt;

use zeroize::Zeroizing;

/// Which of the two files: they name their sections differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileFile {
    /// `~/.aws/config`: `[default]`, `[profile NAME]`.
    Config,
    /// `~/.aws/credentials`: `[NAME]`.
    Credentials,
}

/// A line that is neither a section nor a key, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProfileError {
    /// Counted from 1.
    pub line: usize,
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} is neither a [profile] nor a key with a value", self.line)
    }
}

impl std::error::Error for ProfileError {}

/// The keys of one profile, as they stand in the text.
#[derive(Default, PartialEq, Eq)]
pub struct Profile<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Profile<'a> {
    /// The value of a key; empty counts as none.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&'a str> {
        let mut found = self.0.iter().rev().filter(|(name, _)| name.eq_ignore_ascii_case(key));
        found.next().map(|(_, value)| *value).filter(|value| !value.is_empty())
    }

    /// The value of a key, in wiped memory.
    #[must_use]
    pub fn secret(&self, key: &str) -> Option<Zeroizing<String>> {
        self.value(key).map(|value| Zeroizing::new(value.to_owned()))
    }
}

/// The profile `name` in a file, if it stands there. Sections of the same name are one.
///
/// # Errors
/// Names the line that is wrong, anywhere in the file.
pub fn find<'a>(text: &'a str, file: ProfileFile, name: &str) -> Result<Option<Profile<'a>>, ProfileError> {
    let mut found: Option<Profile<'a>> = None;
    let (mut inside, mut any_section) = (false, false);
    for (at, line) in text.lines().enumerate() {
        let wrong = ProfileError { line: at + 1 };
        let nested = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            let (section, _) = section.split_once(']').ok_or(wrong)?;
            any_section = true;
            inside = is_section(section.trim(), file, name);
            if inside {
                found.get_or_insert_default();
            }
        } else if nested && any_section {
            // Belongs to the key above it.
        } else {
            let (key, value) =
                line.split_once('=').filter(|(key, _)| any_section && !key.trim().is_empty()).ok_or(wrong)?;
            if let Some(profile) = found.as_mut().filter(|_| inside) {
                profile.0.push((key.trim(), without_comment(value)));
            }
        }
    }
    Ok(found)
}

fn is_section(section: &str, file: ProfileFile, name: &str) -> bool {
    if file == ProfileFile::Credentials || (name == "default" && section == "default") {
        return section == name;
    }
    section.strip_prefix("profile").is_some_and(|rest| rest.starts_with([' ', '\t']) && rest.trim() == name)
}

/// A comment within a line begins where the value would, or after a blank: `#` and `;` may stand in a value.
fn without_comment(value: &str) -> &str {
    let value = value.trim();
    if value.starts_with(['#', ';']) {
        return "";
    }
    let marks = [" #", " ;", "\t#", "\t;"];
    let end = marks.iter().filter_map(|mark| value.find(mark)).min();
    value[..end.unwrap_or(value.len())].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "# mine\n[default]\nregion = eu-central-1 # home\ns3 =\n  max_queue_size = 10\n\n[profile  ops]\nREGION=us-east-1\noutput = \nother =; none\n[preview]\nx = y\n";

    #[test]
    fn each_file_names_its_profiles_in_its_own_way() {
        let region =
            |name| find(CONFIG, ProfileFile::Config, name).unwrap().map(|profile| profile.value("region"));
        assert_eq!(region("default"), Some(Some("eu-central-1")));
        assert_eq!(region("ops"), Some(Some("us-east-1")));
        assert_eq!(region("preview"), None);
        let keys = "[default]\naws_access_key_id=a\n[ops]\naws_secret_access_key = x+/#;=\naws_secret_access_key = y+/#;=\n";
        let found = find(keys, ProfileFile::Credentials, "ops").unwrap().unwrap();
        assert_eq!(found.value("aws_secret_access_key"), Some("y+/#;="), "the last one counts");
        assert_eq!(found.value("aws_access_key_id"), None, "not that of another profile");
        assert!(find(keys, ProfileFile::Credentials, "none").unwrap().is_none());
    }

    #[test]
    fn empty_is_none_and_what_is_wrong_is_named_by_line() {
        let ops = find(CONFIG, ProfileFile::Config, "ops").unwrap().unwrap();
        assert_eq!((ops.value("output"), ops.value("other")), (None, None));
        for (text, line) in [("x = y", 1), ("[a]\nb", 2), ("[a", 1), ("[a]\n\n= b", 3)] {
            assert_eq!(find(text, ProfileFile::Config, "a").err(), Some(ProfileError { line }), "{text:?}");
        }
    }
}
