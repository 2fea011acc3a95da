//! Root key sources, against real files, credentials and programs.

use super::credential::CredentialSource;
use super::exec::ExecSource;
use super::file::FileSource;
use super::patience::{Patience, fetch};
use super::*;
use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

const MANY: u32 = 6;
const PATIENCE: Patience =
    Patience { attempts: MANY, first: Duration::from_millis(100), longest: Duration::from_millis(500) };

/// Gives these answers, then the text.
struct Scripted(Mutex<Vec<SourceError>>);

impl Scripted {
    fn failing(mut errors: Vec<SourceError>) -> Self {
        errors.reverse();
        Self(Mutex::new(errors))
    }
}

impl RootKeySource for Scripted {
    fn read(&self) -> Result<Zeroizing<Vec<u8>>, SourceError> {
        match self.0.lock().unwrap().pop() {
            Some(error) => Err(error),
            None => Ok(Zeroizing::new(b"text".to_vec())),
        }
    }

    fn reach(&self) -> Reach {
        Reach::default()
    }

    fn describe(&self) -> String {
        "script".into()
    }
}

fn away() -> SourceError {
    SourceError::retryable("away", "wait")
}

fn loose() -> SourceError {
    SourceError::refused("loose", "chmod")
}

/// What it came to, and how long it slept each time, in milliseconds.
fn fetched(errors: Vec<SourceError>, dice: u64) -> (Result<Vec<u8>, SourceError>, Vec<u128>) {
    let naps = RefCell::new(Vec::new());
    let sleep = |nap: Duration| naps.borrow_mut().push(nap.as_millis());
    let outcome = fetch(&Scripted::failing(errors), &PATIENCE, &sleep, &|| dice);
    (outcome.map(|text| text.to_vec()), naps.into_inner())
}

#[test]
fn a_source_that_is_there_is_read_at_once() {
    assert_eq!(fetched(vec![], 0), (Ok(b"text".to_vec()), vec![]));
}

#[test]
fn the_steps_double_up_to_the_longest() {
    let (outcome, naps) = fetched(vec![away(); 5], u64::MAX);
    assert_eq!(outcome, Ok(b"text".to_vec()));
    assert_eq!(naps, [99, 199, 399, 499, 499]);
}

#[test]
fn the_jitter_spreads_over_the_whole_step() {
    assert_eq!(fetched(vec![away(); 2], 1 << 63).1, [50, 100]);
    assert_eq!(fetched(vec![away(); 2], 0).1, [0, 0]);
}

#[test]
fn patience_ends() {
    let (outcome, naps) = fetched(vec![away(); 6], u64::MAX);
    assert_eq!(outcome, Err(away()));
    assert_eq!(naps.len(), 5, "no nap after the last reading");
}

#[test]
fn what_waiting_does_not_mend_is_not_waited_for() {
    assert_eq!(fetched(vec![loose()], u64::MAX), (Err(loose()), vec![]));
    let (outcome, naps) = fetched(vec![away(), loose()], u64::MAX);
    assert_eq!((outcome, naps.len()), (Err(loose()), 1));
}

#[test]
fn steps_do_not_overflow() {
    let endless = Patience { attempts: 100, first: Duration::from_secs(1), longest: Duration::MAX };
    let errors = vec![away(); 99];
    fetch(&Scripted::failing(errors), &endless, &|_| (), &|| u64::MAX).unwrap();
}

fn written(directory: &Path, name: &str, mode: u32) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, b"canary-key").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn a_file_is_read_waited_for_or_refused() {
    let directory = tempfile::tempdir().unwrap();
    let at = |path: PathBuf| FileSource::new(path).unwrap();
    let good = at(written(directory.path(), "good", 0o600));
    assert_eq!(good.read().unwrap().as_slice(), b"canary-key");
    assert!(at(directory.path().join("none")).read().unwrap_err().is_retryable());
    let loose = at(written(directory.path(), "loose", 0o640)).read().unwrap_err();
    assert!(loose.is_unsafe() && loose.to_string().contains("chmod"), "{loose}");
    assert!(!loose.to_string().contains("canary"));
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(directory.path().join("good"), &link).unwrap();
    assert!(at(link).read().unwrap_err().is_unsafe());
    assert!(!FileSource::new("relative".into()).unwrap_err().is_retryable());
}

#[test]
fn a_file_over_the_cap_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path(), "large", 0o600);
    std::fs::write(&path, vec![b'a'; LONGEST_LIST + 1]).unwrap();
    assert!(!FileSource::new(path).unwrap().read().unwrap_err().is_retryable());
}

#[test]
fn a_credential_is_read_by_name_from_its_directory_alone() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path(), "root", 0o400);
    let named = |name: &str| CredentialSource::new(Some(directory.path().to_owned()), name.into());
    assert_eq!(named("root").unwrap().read().unwrap().as_slice(), b"canary-key");
    let absent = named("other").unwrap().read().unwrap_err();
    assert!(
        !absent.is_retryable() && !absent.is_unsafe() && absent.to_string().contains("LoadCredential=other"),
        "{absent}"
    );
    for name in ["", ".", "..", "../root", "/etc/shadow", "a/b", "a\0b", "a\nb"] {
        assert!(named(name).is_err(), "{name:?}");
    }
    let unset = CredentialSource::new(None, "root".into()).unwrap().read().unwrap_err();
    assert!(!unset.is_retryable() && unset.to_string().contains("CREDENTIALS_DIRECTORY"), "{unset}");
}

#[test]
fn a_program_is_run_tried_again_or_refused() {
    let sh = |script: &str| {
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        ExecSource::new("/bin/sh".into(), arguments, Duration::from_secs(60)).unwrap().read()
    };
    assert_eq!(sh("printf canary-key").unwrap().as_slice(), b"canary-key");
    let failed = sh("echo canary; echo canary >&2; exit 1").unwrap_err();
    assert!(failed.is_retryable() && !failed.to_string().contains("canary"), "{failed}");
    assert!(!sh("head -c 70000 /dev/zero").unwrap_err().is_retryable());
    let none = ExecSource::new("/no/such/program".into(), vec![], Duration::from_secs(1)).unwrap();
    let absent = none.read().unwrap_err();
    assert!(!absent.is_retryable() && !absent.is_unsafe());
    let directory = tempfile::tempdir().unwrap();
    let loose = ExecSource::new(written(directory.path(), "loose", 0o777), vec![], Duration::from_secs(1));
    assert!(loose.unwrap().read().unwrap_err().is_unsafe());
    assert!(ExecSource::new("op".into(), vec![], Duration::from_secs(1)).is_err());
}
