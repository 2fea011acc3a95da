//! The catalogue as a page for people.
//!
//! Never a figure of its own.

use std::fmt::Write as _;

use tokenkeep::domain::provider::catalogue::{Basis, PRESETS, Preset};
use tokenkeep::domain::provider::setting::of_preset;

const INTRODUCTION: &str = "\
# Providers that are known

Printed from the catalogue in the code (`src/domain/provider/catalogue/`) by `make catalogue`; a test compares them.

`preset = \"…\"` in a `[[provider]]` takes what stands here; every field can be written by hand over it
(`docs/configuration.md` says what each means). Each value names the document it was read in, by its number; a stored copy
of that document was read on the day beside it. **unverified** is a value that was read nowhere: where a token could be lost
by it (leeway, rotation, reuse, early refresh) it is the one that loses nothing, whatever the provider does; elsewhere it is
what is commonly said. Providers change: `tokenkeep provider check` asks them, and a field written by hand wins.

Where a provider has no refresh tokens, its access tokens are kept and served, and nothing is refreshed.
";

/// The page.
pub(crate) fn text() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n| Preset | Provider | Refresh token | Leeway | Idle | Absolute | Early refresh |\n|---|---|---|---|---|---|---|\n");
    PRESETS.iter().for_each(|preset| summary(&mut page, preset));
    PRESETS.iter().for_each(|preset| section(&mut page, preset));
    page
}

fn summary(page: &mut String, preset: &Preset) {
    let rows = of_preset(preset);
    let value = |name: &str| {
        let row = rows.iter().find(|(one, ..)| *one == name);
        row.and_then(|(_, value, _)| value.clone()).unwrap_or_else(|| "none known".into())
    };
    let (id, name) = (preset.id, preset.name);
    let cells =
        ["rotation", "leeway", "idle_limit", "absolute_limit", "refresh_early"].map(value).join(" | ");
    let _ = writeln!(page, "| [`{id}`](#{id}) | {name} | {cells} |");
}

fn section(page: &mut String, preset: &Preset) {
    let _ = write!(page, "\n## {}\n\n{}.", preset.id, preset.name);
    for note in preset.notes {
        let _ = write!(page, " {note}");
    }
    page.push_str("\n\n| Field | Value | Read in |\n|---|---|---|\n");
    for (name, value, basis) in of_preset(preset) {
        let value = value.map_or_else(|| "none".into(), |value| format!("`{value}`"));
        let read = match basis {
            Basis::Source(number) => number.to_string(),
            Basis::Unverified => "unverified".into(),
        };
        let _ = writeln!(page, "| `{name}` | {value} | {read} |");
    }
    for (name, value) in preset.headers {
        let _ = writeln!(page, "| header `{name}` | `{value}` | 1 |");
    }
    for (at, source) in preset.sources.iter().enumerate() {
        let gap = if at == 0 { "\n" } else { "" };
        let _ =
            writeln!(page, "{gap}{}. [{}]({}), read {}", at + 1, source.title, source.address, source.read);
    }
}
