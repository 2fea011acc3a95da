//! The description of the API for machines says what the code says.

#[path = "../../../examples/openapi/document.rs"]
mod document;
#[path = "../../../examples/openapi/problems.rs"]
mod problems;
#[path = "../../../examples/openapi/samples.rs"]
mod samples;
#[path = "../../../examples/openapi/shapes.rs"]
mod shapes;

use std::path::Path;

use document::Side;

#[test]
fn the_printed_descriptions_are_those_of_the_code() {
    for (file, side) in [("openapi.json", Side::Application), ("openapi-admin.json", Side::Admin)] {
        let printed = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
        let printed = std::fs::read_to_string(printed).expect("a description");
        let first = printed.lines().zip(document::text(side).lines()).position(|(one, other)| one != other);
        assert_eq!(first, None, "docs/{file} differs from the code at that line, from 0: run `make openapi`");
        assert_eq!(printed, document::text(side), "run `make openapi`");
    }
}
