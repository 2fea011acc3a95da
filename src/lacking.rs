//! What this build lacks of all that keeps plaintext and keys out of memory.
//!
//! A build that lacks something is for the tests alone: they look through its memory, and must find what is missing. Such a
//! build serves `environment = "development"` and nothing else, and says what it lacks in its ready line, its log and
//! `status`.
//!
//! Each part is switched off in the one place that does its work; this is the only list of them.

/// Each part, and whether this build lacks it.
const PARTS: [(&str, bool); 6] = [
    ("register-wipe", cfg!(feature = "dangerous-without-register-wipe")),
    ("sandbox", cfg!(feature = "dangerous-without-sandbox")),
    ("secret-pages", cfg!(feature = "dangerous-without-secret-pages")),
    ("secret-stack", cfg!(feature = "dangerous-without-secret-stack")),
    ("wiped-io", cfg!(feature = "dangerous-without-wiped-io")),
    ("wiping-allocator", cfg!(feature = "dangerous-without-wiping-allocator")),
];

/// The parts that this build lacks; of a build that may serve anybody, none.
#[must_use]
pub fn parts() -> Vec<&'static str> {
    PARTS.iter().filter(|(_, lacks)| *lacks).map(|(part, _)| *part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A feature that is not on the list would be off in silence.
    #[test]
    fn every_dangerous_feature_is_on_the_list() {
        let manifest = include_str!("../Cargo.toml");
        let features = manifest.lines().filter_map(|line| line.strip_prefix("dangerous-without-"));
        let mut names: Vec<_> =
            features.filter_map(|line| line.split_once(" = []")).map(|(name, _)| name).collect();
        names.sort_unstable();
        assert_eq!(names, PARTS.map(|(part, _)| part));
    }
}
