//! The texts in which a database gives Fernet tokens back, and what is made of each.
//!
//! Python's `Fernet.encrypt` returns bytes; a column of text, of bytes, and a forgotten `.decode()` each make another
//! text of them. A form that says which bytes it was is taken; one that has lost them is refused by its name.
//!
//! Opens nothing.

use std::borrow::Cow;

use super::wrong::Wrong;

/// The Fernet token in the text of a field.
///
/// # Errors
/// The text is of a form in which the token is lost, or one that is not Fernet.
pub fn token<'a>(text: &'a str, field: &str) -> Result<Cow<'a, [u8]>, Wrong> {
    let text = text.trim_ascii();
    if text.starts_with("<memory at ") {
        return Err(Wrong::new(
            "python_buffer",
            format!("{field} is Python's name for a buffer, not what was in it: dump the column itself"),
        ));
    }
    // bytea_output = hex (PostgreSQL, "Binary Data Types").
    if let Some(digits) = text.strip_prefix("\\x") {
        let bytes = unhex(digits).ok_or_else(|| {
            Wrong::new("not_fernet", format!("{field} begins as PostgreSQL's hex form and is not in it"))
        })?;
        if bytes.first() == Some(&0x80) {
            return Err(Wrong::new(
                "binary_token",
                format!("{field} is a binary token, as django-cryptography writes it: that is not Fernet"),
            ));
        }
        let inner = unquoted(&bytes).map(<[u8]>::to_vec);
        return Ok(Cow::Owned(inner.unwrap_or(bytes)));
    }
    Ok(Cow::Borrowed(unquoted(text.as_bytes()).unwrap_or(text.as_bytes())))
}

/// What stands in `str(b"…")`. A Fernet token has no character that Python would escape.
fn unquoted(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"b")?;
    let (quote, rest) = rest.split_first()?;
    let inner = rest.strip_suffix(&[*quote])?;
    matches!(quote, b'\'' | b'"').then_some(inner)
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    if rest.is_empty() { bytes.collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<u8>, Cow<'static, str>> {
        token(text, "access_token").map(Cow::into_owned).map_err(|wrong| wrong.code)
    }

    #[test]
    fn the_same_token_in_every_form_that_says_it() {
        for text in [
            "gAAAAAB_-w==",
            " gAAAAAB_-w==\n",
            "b'gAAAAAB_-w=='",
            "b\"gAAAAAB_-w==\"",
            "\\x674141414141425f2d773d3d",
        ] {
            assert_eq!(read(text).unwrap(), b"gAAAAAB_-w==", "{text}");
        }
        assert_eq!(read("\\x62276741414127").unwrap(), b"gAAA", "a repr in a column of bytes");
    }

    #[test]
    fn a_form_that_does_not_say_it_is_refused_by_its_name() {
        assert_eq!(read("<memory at 0x7f3b2c1d5e80>").unwrap_err(), "python_buffer");
        assert_eq!(read("\\x8000").unwrap_err(), "binary_token");
        assert_eq!(read("\\x674").unwrap_err(), "not_fernet");
        assert_eq!(read("\\xzz").unwrap_err(), "not_fernet");
    }

    #[test]
    fn what_is_in_no_form_is_left_as_it_is() {
        for text in ["", "b", "b'", "b'x\"", "gAAA'", "<memory", "\\y"] {
            assert_eq!(read(text).unwrap(), text.as_bytes());
        }
    }
}
