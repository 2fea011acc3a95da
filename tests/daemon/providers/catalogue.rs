//! The page of presets says what the code says.

#[path = "../../../examples/catalogue/page.rs"]
mod page;

use std::path::Path;

#[test]
fn the_printed_catalogue_is_that_of_the_code() {
    let printed = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/providers.md");
    let printed = std::fs::read_to_string(printed).expect("a page");
    let text = page::text();
    let first = printed.lines().zip(text.lines()).position(|(one, other)| one != other);
    assert_eq!(
        first, None,
        "docs/providers.md differs from the code at that line, from 0: run `make catalogue`"
    );
    assert_eq!(printed, text, "run `make catalogue`");
}
