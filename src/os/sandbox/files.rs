//! Which files the process may touch from here on, and whom it may reach by TCP, signals and abstract sockets
//! (landlock(7)).
//!
//! The hard problem: a file that is replaced is another file, and a rule that was made for the old one does not hold
//! for it. The answer: rules are for directories, wherever the name of one is known.
//!
//! Kernels know more of it the newer they are. What this one does not know is left out; which it was, is said.
//!
//! Never lets a program be executed, a device be made or a TCP port be listened at.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, NetPort,
    PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope, make_bitflags,
};

use super::{Outbound, Rules};

/// The newest that these rules were written for and tried with.
const NEWEST: ABI = ABI::V7;

/// What holds for files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileWall {
    /// The kernel has no Landlock, or it is not switched on.
    Absent,
    /// All that these rules know.
    Whole,
    /// What an older kernel knows of it.
    Older,
}

/// Puts them up for the calling thread.
pub(super) fn restrict(rules: &Rules) -> Result<FileWall, RulesetError> {
    let mut set = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    for (paths, access) in [
        (&rules.written, written()),
        (&rules.read, AccessFs::ReadFile | AccessFs::ReadDir),
        (&rules.cleared, AccessFs::RemoveFile.into()),
    ] {
        for path in paths {
            set = beneath(set, path, access)?;
        }
    }
    if let Outbound::Ports(ports) = &rules.outbound {
        for port in ports {
            set = set.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
        }
    }
    let status = set.restrict_self()?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _)
        | (_, LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => FileWall::Absent,
        (RulesetStatus::FullyEnforced, _) => FileWall::Whole,
        (RulesetStatus::PartiallyEnforced, _) => FileWall::Older,
    })
}

/// Ordinary files and directories, and no executing, no sockets, no devices, no links to elsewhere.
fn written() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{
        ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir | Refer
    })
}

fn beneath(
    set: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    // What is not there, or not to be seen, cannot be opened later either.
    let Ok(opened) = PathFd::new(path) else { return Ok(set) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
    set.add_rule(PathBeneath::new(opened, access))
}
