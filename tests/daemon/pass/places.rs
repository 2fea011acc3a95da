//! A pass is a sealed value with a place of its own: whoever has the system key and seals the words of a pass for any
//! other place, or for another vault, has no pass.

use tokenkeep::crypto::key_list::RootKeys;
use tokenkeep::crypto::seal::{Place, open, seal};
use tokenkeep::vault::header::Header;
use tokenkeep::vault::place::{Field, Table, vault_place};

use super::{issue, strict, with};
use crate::kit::{Request, TestVault};

#[test]
fn what_is_sealed_for_another_place_is_no_pass() {
    let vault = TestVault::with(strict());
    let root = RootKeys::parse(vault.root_key().as_bytes()).unwrap();
    let (header, keys) = Header::open(vault.state(), "development", &root).unwrap().unwrap();
    let place = vault_place(header.vault_id, Table::Pass, Field::Pass);
    let genuine = issue(&vault, "acme", &["org:read"], 3600);
    let opened = open(&keys.system, &place, genuine.as_bytes()).unwrap();
    let words = opened.expose().to_vec();
    let get = |pass: &str| vault.send(&with(Request::get("/v1/orgs/acme"), pass));

    // The control: with the words and the place it is a pass, whoever sealed it.
    get(&seal(&keys.system, &place, 1, &words)).refused(404, "not_found");
    let tables =
        [Table::Vault, Table::Org, Table::Connection, Table::Secret, Table::SecretVersion, Table::Note];
    let elsewhere = tables.map(|table| vault_place(header.vault_id, table, Field::Pass));
    let fields = [Field::Note, Field::SystemKey, Field::Metadata, Field::Value];
    let in_another_field = fields.map(|field| vault_place(header.vault_id, Table::Pass, field));
    let of_another_vault = vault_place([7; 16], Table::Pass, Field::Pass);
    let of_a_record = Place { record: [7; 32], ..place };
    for place in elsewhere.into_iter().chain(in_another_field).chain([of_another_vault, of_a_record]) {
        let problem = get(&seal(&keys.system, &place, 1, &words)).refused(401, "unauthenticated");
        assert_eq!(problem.reason.as_deref(), Some("pass_invalid"), "{place:?}");
    }
    let problem = get(&seal(root.primary(), &place, 1, &words)).refused(401, "unauthenticated");
    assert_eq!(problem.reason.as_deref(), Some("pass_invalid"), "under another key");
}

#[test]
fn the_longest_pass_there_can_be_is_issued_and_taken() {
    let vault = TestVault::with(strict());
    let (org, words) = ("o".repeat(128), super::table::all_actions());
    let pass = issue(&vault, &org, &words, 3600);
    // A client's name has up to 63 characters; this one has three.
    assert!(pass.len() + 80 < 2048, "{}", pass.len());
    vault.send(&with(Request::get(format!("/v1/orgs/{org}")), &pass)).refused(404, "not_found");
}
