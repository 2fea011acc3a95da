//! The format of age, held against itself; `tests/recovery` holds it against another implementation.

use super::*;

fn sealed(recipients: &[Recipient], plain: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut sealer = seal(recipients, &mut file).unwrap();
    // Pieces that do not fit the chunks.
    for piece in plain.chunks(7_001) {
        sealer.write_all(piece).unwrap();
    }
    sealer.end().unwrap();
    file
}

fn opened(identity: &Identity, file: &[u8]) -> Result<Vec<u8>, AgeError> {
    let mut plain = Vec::new();
    open(&[identity], file)?.read_to_end(&mut plain)?;
    Ok(plain)
}

/// The public half of a known private key, by RFC 7748 and BIP 173.
#[test]
fn a_key_is_read_as_the_age_program_writes_it() {
    let identity = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
    let identity = Identity::parse_all(&format!("# created\n{identity}\n")).unwrap().remove(0);
    assert_eq!(*identity.expose(), [0x42; 32]);
    assert_eq!(
        identity.recipient().to_string(),
        "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
    );
}

#[test]
fn each_recipient_opens_it_and_nobody_else() {
    let [one, other, stranger] = [(); 3].map(|()| Identity::generate().unwrap());
    for length in [0, 1, 65_535, 65_536, 65_537, 131_072, 300_000] {
        let plain: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let file = sealed(&[one.recipient(), other.recipient()], &plain);
        assert_eq!(opened(&one, &file).unwrap(), plain, "{length}");
        assert_eq!(opened(&other, &file).unwrap(), plain, "{length}");
        assert!(matches!(opened(&stranger, &file), Err(AgeError::NotForUs)));
    }
}

#[test]
fn no_flipped_bit_and_no_cut_goes_unseen() {
    let identity = Identity::generate().unwrap();
    let file = sealed(&[identity.recipient()], &[7; 70_000]);
    for at in (0..300).chain((300..file.len()).step_by(997)).chain([file.len() - 1]) {
        let mut flipped = file.clone();
        flipped[at] ^= 1;
        assert!(opened(&identity, &flipped).is_err(), "byte {at}");
    }
    // Also at the border of a chunk, where what is left is whole.
    let payload = file.len() - (70_000 + 2 * 16);
    for end in [0, 10, payload, payload + 65_536 + 16, file.len() - 1] {
        assert!(opened(&identity, &file[..end]).is_err(), "cut at {end}");
    }
    let longer = [&file[..], b"x"].concat();
    assert!(opened(&identity, &longer).is_err());
}

#[test]
fn a_text_is_a_key_or_it_is_not() {
    let recipient = Identity::generate().unwrap().recipient();
    assert_eq!(Recipient::parse(&recipient.to_string()), Some(recipient));
    for wrong in ["", "age1", "ssh-ed25519 AAAA", "AGE-SECRET-KEY-1GFPYYSJZ"] {
        assert_eq!(Recipient::parse(wrong), None, "{wrong}");
        assert!(Identity::parse_all(wrong).is_none(), "{wrong}");
    }
}
