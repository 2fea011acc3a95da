//! What this build lacks of all that keeps plaintext and keys out of memory, and of what keeps it alive.
//!
//! A build that lacks something is for the tests alone: they look through its memory, and must find what is missing, or
//! have it kill itself half-way. Such a build serves `environment = "development"` and nothing else, and says what it lacks in its ready line, its log and
//! `status`.
//!
//! Each part is switched off in the one place that does its work; this is the only list of them.

/// Each part, and whether this build lacks it.
const PARTS: [(&str, bool); 7] = [
    ("immunity-to-fault-points", cfg!(feature = "dangerous-fault-points")),
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
        let listed = include_str!("lacking.rs");
        let features = manifest.lines().filter(|line| line.starts_with("dangerous-"));
        let features: Vec<_> =
            features.filter_map(|line| line.split_once(" = []")).map(|(name, _)| name).collect();
        for feature in &features {
            assert!(listed.contains(&format!("cfg!(feature = \"{feature}\")")), "{feature}");
        }
        assert_eq!(features.len(), PARTS.len());
    }
}
