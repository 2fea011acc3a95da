//! What is read of the XML that S3 answers: the texts of elements, by their names.
//!
//! Its answers are flat, have no attributes that matter, and come over a connection that was authenticated; what is taken
//! from them is judged by whoever takes it. So no parser is brought in for six names.
//!
//! Never more than the texts.

/// The text of the first element of this name.
pub(super) fn first(document: &[u8], name: &str) -> Option<String> {
    let inside = all(document, name).into_iter().next()?;
    unescaped(std::str::from_utf8(inside).ok()?)
}

/// What stands in each element of this name.
pub(super) fn all<'a>(document: &'a [u8], name: &str) -> Vec<&'a [u8]> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut found = Vec::new();
    let mut rest = document;
    while let Some(at) = position(rest, open.as_bytes()) {
        rest = &rest[at + open.len()..];
        let Some(end) = position(rest, close.as_bytes()) else { break };
        found.push(&rest[..end]);
        rest = &rest[end + close.len()..];
    }
    found
}

fn position(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}

/// The five entities of XML, and no others (XML 1.0, section 4.6).
fn unescaped(text: &str) -> Option<String> {
    if !text.contains('&') {
        return Some(text.to_owned());
    }
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        whole.push_str(&rest[..at]);
        let (entity, after) = rest[at + 1..].split_once(';')?;
        whole.push(match entity {
            "amp" => '&',
            "apos" | "#39" => '\'',
            "gt" => '>',
            "lt" => '<',
            "quot" | "#34" => '"',
            _ => return None,
        });
        rest = after;
    }
    whole.push_str(rest);
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_by_their_names() {
        let page = b"<?xml?><R><Contents><Key>a&amp;b</Key><Size>7</Size></Contents><Contents><Key>c</Key></Contents></R>";
        let keys: Vec<_> = all(page, "Contents").into_iter().filter_map(|part| first(part, "Key")).collect();
        assert_eq!(keys, ["a&b", "c"]);
        assert_eq!(first(page, "Size").as_deref(), Some("7"));
        assert_eq!(first(page, "Code"), None);
        assert_eq!(first(b"<Key>a&b", "Key"), None);
        assert_eq!(first(b"<Key>&evil;</Key>", "Key"), None);
    }
}
