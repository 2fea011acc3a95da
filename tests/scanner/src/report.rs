//! What a scan found: which needle, in which form, where. Never the bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::index::Found;
use crate::needle::{Kind, Needles};

/// The kind of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Mapped, and no more is known.
    Anonymous,
    /// Of a file: a program, a library, a mapped index; or the bytes of a file themselves.
    File,
    /// The heap that grows by brk(2).
    Heap,
    /// In a core file, beside the memory: registers of threads.
    Registers,
    /// A mapping in which a thread's stack pointer stands.
    Stack,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "anonymous",
            Self::File => "file",
            Self::Heap => "heap",
            Self::Registers => "registers",
            Self::Stack => "stack",
        })
    }
}

/// A run of bytes of a needle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// As it was named.
    pub needle: String,
    /// Where it starts: an address, or an offset in a file.
    pub address: u64,
    /// What the needle is.
    pub kind: Kind,
    /// In which form.
    pub form: &'static str,
    /// How many bytes of that form.
    pub length: usize,
    /// In which kind of memory.
    pub place: Place,
    /// The mapping, as the kernel names it.
    pub region: String,
}

/// Memory that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The mapping, as the kernel names it.
    pub region: String,
    /// Where it starts.
    pub address: u64,
    /// How many bytes.
    pub length: u64,
    /// The kernel's word.
    pub why: String,
}

/// What a scan found.
#[derive(Debug, Default)]
pub struct Report {
    /// By needle and address.
    pub hits: Vec<Hit>,
    /// Bytes that were looked through.
    pub read: u64,
    /// What was not.
    pub unread: Vec<Unread>,
}

impl Report {
    pub(crate) fn add(&mut self, needles: &Needles, place: Place, region: &str, found: Vec<Found>) {
        let hits = found.into_iter().map(|run| {
            let pattern = &needles.patterns()[run.pattern as usize];
            let (kind, needle) = needles.owner(pattern);
            let (needle, region) = (needle.to_owned(), region.to_owned());
            let Found { address, length, .. } = run;
            Hit { needle, address, kind, form: pattern.form, length, place, region }
        });
        self.hits.extend(hits);
    }

    /// One hit for each place: forms overlap, and a run is found with every window of it.
    pub(crate) fn settle(mut self) -> Self {
        self.hits.sort();
        let mut settled: Vec<Hit> = Vec::new();
        for hit in self.hits.drain(..) {
            match settled.last_mut() {
                Some(last)
                    if last.needle == hit.needle
                        && last.region == hit.region
                        && hit.address < last.address + last.length as u64 =>
                {
                    if hit.length > last.length {
                        *last = hit;
                    }
                }
                _ => settled.push(hit),
            }
        }
        self.hits = settled;
        self
    }

    /// How many hits of a kind.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.of(kind).count()
    }

    /// The hits of a kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Hit> {
        self.hits.iter().filter(move |hit| hit.kind == kind)
    }

    /// Which needles of a kind were found.
    #[must_use]
    pub fn distinct(&self, kind: Kind) -> BTreeSet<&str> {
        self.of(kind).map(|hit| hit.needle.as_str()).collect()
    }

    /// As `12 key hits (stack 8, anonymous 4)`.
    #[must_use]
    pub fn line(&self, kind: Kind) -> String {
        let mut places: BTreeMap<Place, usize> = BTreeMap::new();
        self.of(kind).for_each(|hit| *places.entry(hit.place).or_default() += 1);
        let places: Vec<String> = places.iter().map(|(place, count)| format!("{place} {count}")).collect();
        let word = match kind {
            Kind::Canary => "canary",
            Kind::Key => "key",
        };
        match (self.count(kind), places.is_empty()) {
            (count, true) => format!("{count} {word} hits"),
            (count, false) => format!("{count} {word} hits ({})", places.join(", ")),
        }
    }
}

/// Both counts, then what was found where: keys first, the most frequent first.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} in {} KiB", self.line(Kind::Canary), self.line(Kind::Key), self.read >> 10)?;
        let mut groups: BTreeMap<_, Vec<&Hit>> = BTreeMap::new();
        for hit in &self.hits {
            groups.entry((&hit.needle, hit.form, hit.place, &hit.region)).or_default().push(hit);
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        // Keys first: a single one is worse than many canaries.
        let rank = |hits: &[&Hit]| (hits.first().map(|hit| hit.kind), hits.len());
        groups.sort_by_key(|(_, hits)| std::cmp::Reverse(rank(hits)));
        for ((needle, form, place, region), hits) in groups.iter().take(40) {
            let (count, first) = (hits.len(), hits.first().map_or(0, |hit| hit.address));
            let longest = hits.iter().map(|hit| hit.length).max().unwrap_or(0);
            write!(f, "\n  {count} x {needle} as {form} in {place} {region}")?;
            write!(f, " (first at {first:#x}, up to {longest} bytes)")?;
        }
        if groups.len() > 40 {
            write!(f, "\n  and {} more kinds", groups.len() - 40)?;
        }
        Ok(())
    }
}
