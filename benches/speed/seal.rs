//! Sealing, opening and tags in the key room, against the bare crates `fernet` and `hmac` on the same values.
//!
//! The frame that binds a value to its place costs 59 bytes: short values show it most.
//!
//! Never measures a value that does not open again.

use std::hint::black_box;
use std::time::{Duration, Instant};

use fernet::Fernet;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tokenkeep::crypto::key::{KeyText, SealingKey};
use tokenkeep::crypto::mac::MacKey;
use tokenkeep::crypto::seal::{Place, open, seal};

use super::Extent;
use super::report::{Table, median};

const SIZES: [usize; 3] = [64, 200, 1024];

/// Measures and prints.
pub(crate) fn measure(extent: Extent) {
    let text = KeyText::generate();
    let key = SealingKey::parse(text.expose().as_bytes()).expect("a key");
    let bare = Fernet::new(text.expose()).expect("a key");
    let place = Place { vault: [1; 16], table: 2, record: [3; 32], field: 4 };
    let turn = extent.turn / 5;
    let mut table = Table::new(
        "sealing on one core, against the bare crates fernet and hmac",
        &["bytes", "what", "against bare", "us", "bare us"],
    );
    for size in SIZES {
        let value = vec![7; size];
        let (sealed, token) = (seal(&key, &place, 1, &value), bare.encrypt(&value));
        let mut figures = [const { Vec::new() }; 4];
        for _ in 0..extent.rounds {
            figures[0].push(time(turn, || seal(&key, &place, 1, black_box(&value)).len()));
            figures[1].push(time(turn, || bare.encrypt(black_box(&value)).len()));
            let opened = || open(&key, &place, black_box(sealed.as_bytes())).expect("opens").expose().len();
            figures[2].push(time(turn, opened));
            figures[3].push(time(turn, || bare.decrypt(black_box(&token)).expect("opens").len()));
        }
        let [seal, encrypt, open, decrypt] = figures.map(median);
        for (what, ours, theirs) in [("seal", seal, encrypt), ("open", open, decrypt)] {
            let ratio = format!("{:.2}", theirs / ours);
            table.row(vec![
                size.to_string(),
                what.into(),
                ratio,
                format!("{ours:.2}"),
                format!("{theirs:.2}"),
            ]);
        }
    }
    // As a blind name and as a line of the audit log: the difference is what a section costs.
    for size in [32, 350] {
        let value = vec![7; size];
        let (key, bare) =
            (MacKey::new(&[7; 32]), <Hmac<Sha256> as Mac>::new_from_slice(&[7; 32]).expect("a key"));
        let mut figures = [const { Vec::new() }; 2];
        for _ in 0..extent.rounds {
            figures[0].push(time(turn, || key.tag(&[black_box(&value)]).len()));
            figures[1].push(time(turn, || {
                bare.clone().chain_update(black_box(&value)).finalize().into_bytes().len()
            }));
        }
        let [ours, theirs] = figures.map(median);
        let (ratio, ours, theirs) =
            (format!("{:.2}", theirs / ours), format!("{ours:.2}"), format!("{theirs:.2}"));
        table.row(vec![size.to_string(), "tag".into(), ratio, ours, theirs]);
    }
    table.print();
}

/// Microseconds a call.
fn time(turn: Duration, call: impl Fn() -> usize) -> f64 {
    let (begun, mut count) = (Instant::now(), 0_u32);
    while begun.elapsed() < turn {
        for _ in 0..64 {
            black_box(call());
        }
        count += 64;
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(count)
}
