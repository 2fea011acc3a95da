//! Arrays of a request, kept up to one more than they may have: enough to be refused for it.
//!
//! The hard problem: a body of 8 MiB can hold millions of items, each many times larger in memory than on the wire, and all
//! would be made before they could be counted. The answer: what comes after is read over.
//!
//! Never refuses: whoever knows the limit does, in the words of its operation.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};

/// For `#[serde(deserialize_with)]`: the items, of those beyond `MOST` the first.
pub(crate) fn up_to<'de, const MOST: usize, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_seq(Items::<T, MOST>(PhantomData))
}

struct Items<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Items<T, MOST> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut kept = Vec::new();
        while kept.len() <= MOST {
            match items.next_element()? {
                Some(item) => kept.push(item),
                None => return Ok(kept),
            }
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Vec<u8>, serde_json::Error> {
        up_to::<2, _, _>(&mut serde_json::Deserializer::from_str(json))
    }

    #[test]
    fn one_more_than_allowed_is_kept_and_the_rest_only_read_over() {
        assert!(read("[]").expect("read").is_empty());
        assert_eq!(read("[1, 2]").expect("read"), [1, 2]);
        assert_eq!(read(r#"[1, 2, 3, 4, {"not": "a number"}]"#).expect("read"), [1, 2, 3]);
        for wrong in ["[1, {}]", "{}", "[1, 2, 3, 4"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
