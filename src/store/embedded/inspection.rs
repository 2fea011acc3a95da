//! Reading, after a start, what the start did not need to read: the older segments of the journal.
//!
//! A sound index makes a start fast because most of the journal stays unread; damage in there must all the same
//! be found while the backups that mend it are still kept. Where a snapshot holds all that stood there, which is read whole
//! before it is believed, nothing of the present is lost, and the store goes on; else it fails.
//!
//! Never writes, and takes half a core at most.

use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::{OpenError, Shared};
use crate::chain::Mark;
use crate::store::journal::walk::{Segment, Trouble, Walk};
use crate::store::snapshot;

/// The longest pause between two segments, so that closing does not wait long.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Verifies the segments and that `then` follows; fails the store where they are damaged and nothing else has what they held.
pub(crate) fn inspect(shared: &Shared, segments: &[Segment], then: Mark) {
    let followers = segments.iter().skip(1).map(|segment| segment.before).chain([then]);
    for (segment, follower) in segments.iter().zip(followers) {
        let started_at = Instant::now();
        if shared.closing.load(Ordering::Relaxed) {
            return;
        }
        if let Err(trouble) = inspect_one(shared, segment, follower) {
            // It was removed meanwhile: snapshots cover it.
            if matches!(&trouble, Trouble::Io { error, .. } if error.kind() == ErrorKind::NotFound) {
                continue;
            }
            if !is_in_a_snapshot(shared, &follower) {
                return shared.condition.fail(OpenError::from(trouble).to_string());
            }
            // Without what an admin of a store that does not open is told: this one serves all there is.
            let why = trouble.to_string();
            tracing::error!(%why, "all that stood there is in a snapshot, and served; no backup of that time can be made any more");
            shared.standing.note(|standing| standing.damage = Some(why));
        }
        thread::sleep(started_at.elapsed().min(LONGEST_PAUSE));
    }
    tracing::debug!(segments = segments.len(), "the older journal segments are sound");
}

/// Whether a whole snapshot holds every record before the one after `last`.
fn is_in_a_snapshot(shared: &Shared, last: &Mark) -> bool {
    let Ok((found, _)) = snapshot::list(&shared.snapshots, &shared.identity) else { return false };
    found
        .iter()
        .rev()
        .filter(|snapshot| snapshot.at.sequence >= last.sequence)
        .any(|snapshot| snapshot::verify(&snapshot.path, &shared.identity, &shared.digester).is_ok())
}

fn inspect_one(shared: &Shared, segment: &Segment, follower: Mark) -> Result<(), Trouble> {
    let mut walk = Walk::new(&shared.identity, std::slice::from_ref(segment), Some(follower))?;
    while walk.next()?.is_some() {}
    Ok(())
}
