//! Fault points: named steps at which a build for tests kills itself, so that a test can see what is found afterwards.
//!
//! The hard problem: a crash between two steps is told from one between two others by nothing but where the process
//! stood, and no signal from outside strikes there. The answer: each step has a name in the code, and the variable
//! `TOKENKEEP_FAULT_POINTS` tells that build which way it goes: names with commas between, each waited for after the one
//! before; at the last, the process ends by SIGKILL, or, where a `!` follows its name, the thread panics. What many do (a write of the journal) is so told from what is meant:
//! `intent/sealed,journal/written`.
//!
//! `tests/daemon/refresh/steps` reads the names from the code, and fails where one of them is on none of its ways.
//!
//! Never anything in a build without the feature: there a step is an empty function.

#[cfg(not(feature = "dangerous-fault-points"))]
/// A step is reached. Does nothing.
#[inline(always)]
pub const fn reach(_point: &'static str) {}

#[cfg(feature = "dangerous-fault-points")]
pub use armed::reach;

#[cfg(feature = "dangerous-fault-points")]
mod armed {
    use std::sync::{Mutex, PoisonError};

    use nix::sys::signal::{Signal, raise};

    /// What is left of the way; none before the first step.
    static WAY: Mutex<Option<Vec<String>>> = Mutex::new(None);

    /// A step is reached. Ends the process, or panics, where that is the end of the way that the tests ask for.
    ///
    /// # Panics
    /// That is what it is for.
    pub fn reach(point: &'static str) {
        let mut way = WAY.lock().unwrap_or_else(PoisonError::into_inner);
        let left = way.get_or_insert_with(way_of_the_tests);
        let Some(next) = left.last() else { return };
        let panics = next.ends_with('!');
        if next.trim_end_matches('!') != point {
            return;
        }
        left.pop();
        if left.is_empty() && !panics {
            end();
        }
        drop(way);
        #[expect(clippy::panic, reason = "what a build for tests is told to do")]
        if panics {
            panic!("at the fault point {point}");
        }
    }

    fn way_of_the_tests() -> Vec<String> {
        let told = std::env::var("TOKENKEEP_FAULT_POINTS").unwrap_or_default();
        let mut way: Vec<_> = told.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        way.reverse();
        way
    }

    /// With the lock in hand: no other thread goes past a step meanwhile.
    fn end() -> ! {
        // Cannot fail: the signal is one, and goes to ourselves.
        let _ = raise(Signal::SIGKILL);
        loop {
            std::thread::park();
        }
    }
}
