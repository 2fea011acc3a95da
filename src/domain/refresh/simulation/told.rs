//! What schedules came to, counted.
//!
//! Never judged here: a world in which nothing happened is for the test to refuse.

/// What a schedule came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) sent: u64,
    pub(super) kept: u64,
    pub(super) lost: u64,
    pub(super) crashes: u64,
    pub(super) jumps: u64,
    pub(super) late: u64,
    pub(super) again: u64,
    pub(super) probes: u64,
    pub(super) beside: u64,
    pub(super) dead: u64,
}

impl Told {
    pub(super) fn counts(&self) -> [(&'static str, u64); 10] {
        [
            ("requests", self.sent),
            ("answers kept", self.kept),
            ("answers lost", self.lost),
            ("crashes", self.crashes),
            ("clocks set", self.jumps),
            ("answers kept after their intent had run out", self.late),
            ("sent again inside a leeway", self.again),
            ("probes", self.probes),
            ("late answers kept beside", self.beside),
            ("connections dead", self.dead),
        ]
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.kept += other.kept;
        self.lost += other.lost;
        self.crashes += other.crashes;
        self.jumps += other.jumps;
        self.late += other.late;
        self.again += other.again;
        self.probes += other.probes;
        self.beside += other.beside;
        self.dead += other.dead;
    }
}
