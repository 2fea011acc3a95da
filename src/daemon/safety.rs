//! What is refused before the daemon reads its first secret: memory that may reach a disk, limits that are too small.
//!
//! Judged by the same rules as `tokenkeep doctor` shows later: what is a failure there does not start. In development
//! it does, and doctor says it, as a developer's machine has swap and small limits.
//!
//! Never warns and goes on elsewhere.

use tokenkeep_client::wire::Finding;

use super::config::{Config, DEVELOPMENT, Demand};
use super::doctor::{self, Memory};
use super::exit::Exit;
use super::failure::Failure;
use super::sandbox::Walls;
use crate::os::host::Facts;
use crate::os::memory;

/// What was achieved at start, for `doctor` to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Safety {
    pub(super) memory: Memory,
    pub(super) walls: Walls,
}

/// Locks the memory, and judges the host.
pub(super) fn secure_memory(config: &Config) -> Result<Memory, Failure> {
    let memory = lock(config.memory.lock)?;
    if config.environment != DEVELOPMENT {
        let facts = Facts::gather(&config.state_directory);
        pass(doctor::open_files(&facts, connections(config)))?;
        pass(doctor::swap(&facts, memory))?;
    }
    Ok(memory)
}

/// The most connections at once, at all doors.
pub(super) fn connections(config: &Config) -> usize {
    let doors = if config.listen.mtls.is_some() { 2 } else { 1 };
    config.limits.connections * doors
}

fn lock(demand: Demand) -> Result<Memory, Failure> {
    match (memory::lock(), demand) {
        (Ok(()), _) => Ok(Memory::Locked),
        (Err(_), Demand::Preferred) => Ok(Memory::Swappable),
        (Err(why), Demand::Required) => {
            let what = format!(
                "the kernel does not let the daemon lock its memory ({}); set LimitMEMLOCK=infinity in the systemd unit \
                 (containers: --ulimit memlock=-1), or lock = \"preferred\" in [memory]",
                why.desc()
            );
            Err(Failure::new(Exit::Unsafe, &what))
        }
    }
}

fn pass(finding: Finding) -> Result<(), Failure> {
    // What is not known is not taken for good.
    if finding.level == "ok" {
        return Ok(());
    }
    let mend = finding.mend.unwrap_or_default();
    Err(Failure::new(Exit::Unsafe, &format_args!("{}; {mend}", finding.detail)))
}
