//! What must be known of a revocation list (RFC 5280, section 5.1) before it is relied on, and `webpki` does not
//! show: whose it is, whether that CA signed it, and when it ends.
//!
//! ```text
//! SEQUENCE { tbsCertList SEQUENCE { version, signature, issuer, thisUpdate, nextUpdate, … },
//!            signatureAlgorithm SEQUENCE, signature BIT STRING }
//! ```
//!
//! Read after `webpki` has read the list, so what is odd was refused before.
//!
//! Never looks at the entries: who is revoked is `webpki`'s matter.

use std::time::SystemTime;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// A revocation list, as far as it is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevocationList<'a> {
    /// The name of its CA: DER without the outer tag, as `webpki` has it.
    pub issuer: &'a [u8],
    /// When it was made.
    pub this_update: SystemTime,
    /// When a newer one is due.
    pub next_update: SystemTime,
    /// What is signed.
    pub signed: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

impl<'a> RevocationList<'a> {
    /// Reads a list in DER. None where it is none.
    #[must_use]
    pub fn read(der: &'a [u8]) -> Option<Self> {
        let mut outer = der;
        let mut list = take(&mut outer, SEQUENCE)?.content;
        let to_be_signed = take(&mut list, SEQUENCE)?;
        take(&mut list, SEQUENCE)?;
        // The first byte of a bit string counts the bits that its last byte lacks.
        let (0, signature) = take(&mut list, BIT_STRING)?.content.split_first().map(|(n, s)| (*n, s))? else {
            return None;
        };
        let mut fields = to_be_signed.content;
        take(&mut fields, INTEGER)?;
        take(&mut fields, SEQUENCE)?;
        let issuer = take(&mut fields, SEQUENCE)?.content;
        let this_update = take_moment(&mut fields)?;
        let next_update = take_moment(&mut fields)?;
        let is_whole = outer.is_empty() && list.is_empty();
        is_whole.then_some(Self { issuer, this_update, next_update, signed: to_be_signed.whole, signature })
    }
}

struct Element<'a> {
    content: &'a [u8],
    whole: &'a [u8],
}

/// Takes one element with this tag (X.690, section 8.1): lengths in the short form or in up to four bytes.
fn take<'a>(rest: &mut &'a [u8], tag: u8) -> Option<Element<'a>> {
    let all = *rest;
    let (&found, after) = all.split_first()?;
    let (&first, mut after) = after.split_first()?;
    let length = match first {
        0..=0x7f => usize::from(first),
        0x81..=0x84 => {
            let (digits, behind) = after.split_at_checked(usize::from(first & 0x7f))?;
            after = behind;
            digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit))
        }
        _ => return None,
    };
    let (content, behind) = after.split_at_checked(length)?;
    if found != tag {
        return None;
    }
    *rest = behind;
    Some(Element { content, whole: &all[..all.len() - behind.len()] })
}

/// Takes a moment (RFC 5280, section 4.1.2.5): two digits of the year until 2049, four after.
fn take_moment(rest: &mut &[u8]) -> Option<SystemTime> {
    let (digits, century) = match *rest.first()? {
        UTC_TIME => {
            let digits = take(rest, UTC_TIME)?.content;
            (digits, if *digits.first()? < b'5' { "20" } else { "19" })
        }
        _ => (take(rest, GENERALIZED_TIME)?.content, ""),
    };
    let text = format!("{century}{}", std::str::from_utf8(digits).ok()?);
    if text.len() != 15 || !text.ends_with('Z') || !text.bytes().take(14).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| &text[from..to];
    let (year, month, day) = (part(0, 4), part(4, 6), part(6, 8));
    let (hour, minute, second) = (part(8, 10), part(10, 12), part(12, 14));
    humantime::parse_rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn moments_of_both_forms_are_read() {
        let read = |tag: u8, text: &str| {
            let mut der = vec![tag, text.len() as u8];
            der.extend_from_slice(text.as_bytes());
            take_moment(&mut der.as_slice()).and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok())
        };
        let at = Some(Duration::from_secs(1_795_298_400));
        assert_eq!(read(UTC_TIME, "261121220000Z"), at);
        assert_eq!(read(GENERALIZED_TIME, "20261121220000Z"), at);
        for (tag, text) in [
            (UTC_TIME, "20261121220000Z"),
            (GENERALIZED_TIME, "261121220000Z"),
            (UTC_TIME, "261121220000+"),
            (UTC_TIME, "26112122000é"),
            (UTC_TIME, "261321220000Z"),
            (INTEGER, "261121220000Z"),
        ] {
            assert_eq!(read(tag, text), None, "{text}");
        }
    }

    #[test]
    fn what_is_cut_off_or_goes_on_is_no_list() {
        assert_eq!(RevocationList::read(&[]), None);
        for end in 0..9 {
            assert!(take(&mut &[0x30, 0x82, 0x00, 0x05, 1, 2, 3, 4, 5][..end], SEQUENCE).is_none(), "{end}");
        }
        assert!(take(&mut &[0x30, 0x80, 0, 0][..], SEQUENCE).is_none(), "an indefinite length is not DER");
    }
}
