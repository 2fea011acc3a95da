//! The thread that puts into the index what the journal has ([`super::late`]), and writes the index out.
//!
//! Never touches an index that has taken the place of a broken one with changes from before.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::Shared;
use super::committer::Request;
use crate::store::index::Broken;

/// Journal bytes after which the index is flushed: bounds what a start has to replay.
const FLUSH_BYTES: usize = 8 << 20;

/// How long nothing must happen before the index is flushed.
const IDLE: Duration = Duration::from_millis(250);

/// The thread's own state.
pub(crate) struct Applier {
    shared: Arc<Shared>,
    /// To the committer, who alone can replace an index.
    queue: Sender<Request>,
    unflushed: usize,
}

impl Applier {
    pub(crate) fn new(shared: Arc<Shared>, queue: Sender<Request>) -> Self {
        Self { shared, queue, unflushed: 0 }
    }

    /// Works until there is nothing more.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut patience = Duration::ZERO;
        while let Ok(bytes) = shared.front.apply_late(patience) {
            match bytes {
                Ok(Some(bytes)) => self.unflushed += bytes,
                Ok(None) if self.unflushed == 0 => {}
                Ok(None) => self.flush(),
                Err(broken) => self.report(broken),
            }
            if self.unflushed >= FLUSH_BYTES {
                self.flush();
            }
            patience = match shared.front.read_keys(shared.records()) {
                Ok(true) => Duration::ZERO,
                Ok(false) => IDLE,
                Err(broken) => {
                    self.report(broken);
                    IDLE
                }
            };
        }
        self.flush();
    }

    fn flush(&mut self) {
        if self.unflushed > 0 {
            self.unflushed = 0;
            if let Err(broken) = self.shared.front.flush() {
                self.report(broken);
            }
        }
    }

    fn report(&self, broken: Broken) {
        // Where the committer is gone, the next start finds out by itself.
        drop(self.queue.send(Request::Replace(broken.0)));
    }
}
