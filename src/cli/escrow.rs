//! `key escrow`: the key list, sealed for people elsewhere: a second way to the keys, should the secret manager be lost.
//!
//! The hard problem: a copy of the root keys is the vault. The answer: it is made here, from what an admin pipes in, for
//! public keys alone; the daemon has no part in it and never hands out a key. That it opens, and is the list of this
//! vault, is seen before it is needed: `backup restore` takes it in the place of the list.
//!
//! Never writes over a file, and never anything but what is sealed.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use zeroize::Zeroizing;

use super::Session;
use super::failure::Failure;
use super::input::Source;
use super::output::Exit;
use crate::crypto::age::{self, AgeError, Identity, Recipient};
use crate::crypto::key_list::RootKeys;
use crate::os::durable;
use crate::os::hardening;

/// Far more than a key list has.
pub(super) const LONGEST: usize = 64 * 1024;

/// For whom, and where to.
#[derive(Args)]
pub(super) struct Escrow {
    /// Who can open it: a public key of age. May be given several times
    #[arg(long, value_name = "AGE1…", required = true, value_parser = recipient)]
    recipient: Vec<Recipient>,
    /// The file that is made
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// The key list, as the secret manager has it
    #[command(flatten)]
    list: Source,
}

fn recipient(text: &str) -> Result<Recipient, String> {
    Recipient::parse(text)
        .ok_or_else(|| "not a recipient of age; write it as age-keygen -y shows it".to_owned())
}

#[derive(Serialize)]
struct Escrowed {
    file: String,
    key_ids: Vec<String>,
    recipients: Vec<String>,
}

impl Session {
    pub(super) fn escrow(&mut self, wanted: &Escrow) -> Result<Exit, Failure> {
        harden()?;
        let list = wanted.list.read(LONGEST)?;
        let keys = parse(&list)?;
        let mut sealed = Vec::new();
        let unsealed = |why: AgeError| Failure::here("unsealed", why.to_string());
        let mut sealer = age::seal(&wanted.recipient, &mut sealed).map_err(unsealed)?;
        let written = sealer.write_all(&list).and_then(|()| sealer.end());
        written.map_err(|why| unsealed(why.into()))?;
        let io = |why: std::io::Error| {
            Failure::here("output", format!("{}: {why}", wanted.to.display()))
                .mend("name a file that is not there")
        };
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&wanted.to);
        file.and_then(|mut file| {
            file.write_all(&sealed)
                .and_then(|()| file.sync_all())
                .and_then(|()| durable::sync_name(&file, &wanted.to))
        })
        .map_err(io)?;
        let escrowed = Escrowed {
            file: wanted.to.display().to_string(),
            key_ids: keys.iter().map(|key| key.id().to_string()).collect(),
            recipients: wanted.recipient.iter().map(ToString::to_string).collect(),
        };
        self.screen.show(&escrowed, |made| {
            let ids = made.key_ids.iter().map(|id| format!("root key {id}"));
            let whom = made.recipients.iter().map(|one| format!("opens for {one}"));
            ids.chain(whom).collect()
        });
        self.screen
            .note("note: try it: tokenkeep backup restore --file takes it in the place of the key list");
        Ok(Exit::Done)
    }
}

/// Keys are about to be in this memory.
pub(super) fn harden() -> Result<(), Failure> {
    hardening::harden().map_err(|why| Failure::here("unsafe", why.to_string()))
}

/// The root keys: of a list, or of an escrow that one of the identities opens.
pub(super) fn root_keys(text: &[u8], identities: &[&Identity]) -> Result<RootKeys, Failure> {
    if !text.starts_with(b"age-encryption.org/") {
        return parse(text);
    }
    let shut = |why: AgeError| {
        Failure::here("escrow", format!("the escrow: {why}")).mend("name the identity that it was sealed for")
    };
    let mut list = Zeroizing::new(Vec::with_capacity(LONGEST + 64));
    let opened = age::open(identities, text).map_err(shut)?;
    opened.take(LONGEST as u64).read_to_end(&mut list).map_err(|why| shut(why.into()))?;
    parse(&list)
}

fn parse(list: &[u8]) -> Result<RootKeys, Failure> {
    RootKeys::parse(list).map_err(|why| {
        Failure::here("not_a_key_list", format!("the key list: {why}"))
            .mend("pipe in the list as the secret manager has it: one Fernet key a line")
    })
}
