//! What doctor finds, fact by fact.

use super::*;
use crate::os::swap::Swap;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn found(path: &str, mode: u32) -> Found {
    Found { path: path.into(), mode: Some(mode), uid: Some(990) }
}

fn limit(value: u64) -> Option<Limit> {
    Some(Limit { soft: Some(value), hard: Some(value) })
}

/// A host where all is well.
fn well() -> (Facts, Checked) {
    let facts = Facts {
        uid: 990,
        kernel: "6.18.0".into(),
        core: limit(0),
        is_dumpable: Some(false),
        locked_memory: Some(Limit { soft: None, hard: None }),
        open_files: limit(65_536),
        swaps: Some(vec![]),
        ptrace_scope: Some(1),
        is_clock_synchronised: Some(true),
        free: Some(100 << 30),
    };
    let checked = Checked {
        connections: 1024,
        state_directory: found("/var/lib/tokenkeep", 0o700),
        unix_socket: found("/run/tokenkeep/tokenkeep.sock", 0o666),
        admin_socket: found("/run/tokenkeep/admin.sock", 0o600),
        key_pages: Kind::Secret,
        memory: Memory::Locked,
        walls: Walls::Both(FileWall::Whole, OnForbidden::End),
        root_key_source: "file /run/keys/root.key".into(),
        tls: None,
        root_key_age: Some(DAY),
    };
    (facts, checked)
}

/// What is not well: check and level.
fn ailing(change: impl FnOnce(&mut Facts, &mut Checked)) -> Vec<(String, String)> {
    let (mut facts, mut checked) = well();
    change(&mut facts, &mut checked);
    let findings = findings(&facts, &checked);
    for finding in &findings {
        assert_eq!(finding.mend.is_none(), finding.level == "ok", "{finding:?}");
    }
    findings.into_iter().filter(|f| f.level != "ok").map(|f| (f.check, f.level)).collect()
}

fn one(check: &str, level: &str) -> Vec<(String, String)> {
    vec![(check.to_owned(), level.to_owned())]
}

#[test]
fn a_host_where_all_is_well_has_nothing_to_mend() {
    assert_eq!(ailing(|_, _| ()), []);
    let (facts, checked) = well();
    assert_eq!(findings(&facts, &checked).len(), 17);
}

#[test]
fn each_ailment_is_found_alone() {
    assert_eq!(ailing(|f, _| f.core = limit(1)), one("core_dumps", "fail"));
    assert_eq!(
        ailing(|f, _| f.core = Some(Limit { soft: Some(0), hard: None })),
        one("core_dumps", "fail"),
        "what may be raised is not given up"
    );
    assert_eq!(ailing(|f, _| f.is_dumpable = Some(true)), one("inspection", "fail"));
    assert_eq!(ailing(|f, _| f.ptrace_scope = Some(0)), one("ptrace_scope", "warn"));
    assert_eq!(ailing(|f, _| f.open_files = limit(1279)), one("open_files", "fail"));
    assert_eq!(ailing(|f, _| f.open_files = limit(1280)), []);
    assert_eq!(ailing(|_, c| c.memory = Memory::Swappable), one("locked_memory", "warn"));
    let walls = |walls| ailing(|_, c| c.walls = walls);
    assert_eq!(walls(Walls::Both(FileWall::Older, OnForbidden::End)), one("sandbox", "warn"));
    assert_eq!(walls(Walls::Both(FileWall::Absent, OnForbidden::End)), one("sandbox", "warn"));
    assert_eq!(walls(Walls::Both(FileWall::Whole, OnForbidden::Tell)), one("sandbox", "warn"));
    assert_eq!(walls(Walls::None), one("sandbox", "fail"));
    assert_eq!(ailing(|f, _| f.free = Some(500 << 20)), one("free_space", "warn"));
    assert_eq!(ailing(|f, _| f.free = Some(1 << 20)), one("free_space", "fail"));
    assert_eq!(ailing(|f, _| f.is_clock_synchronised = Some(false)), one("clock", "warn"));
    assert_eq!(ailing(|_, c| c.root_key_age = Some(DAY * 400)), one("root_key_age", "warn"));
    assert_eq!(ailing(|_, c| c.root_key_age = None), []);
    for (release, expected) in [
        ("6.5.0-14-generic", vec![]),
        ("10.0-rc1", vec![]),
        ("6.4.99", one("kernel", "warn")),
        ("5.15.0", one("kernel", "warn")),
        ("", one("kernel", "warn")),
    ] {
        assert_eq!(ailing(|f, _| f.kernel = release.into()), expected, "{release}");
    }
}

#[test]
fn a_daemon_of_root_is_noticed() {
    let ailments = ailing(|f, c| {
        f.uid = 0;
        c.state_directory.uid = Some(0);
    });
    assert_eq!(ailments, one("user", "warn"));
}

#[test]
fn keys_that_root_can_read_are_a_warning() {
    assert_eq!(ailing(|_, c| c.key_pages = Kind::Locked), one("key_pages", "warn"));
    assert_eq!(ailing(|_, c| c.key_pages = Kind::Unlocked), one("key_pages", "warn"));
}

#[test]
fn swap_on_disk_is_a_danger_unless_memory_is_locked() {
    let area = |medium| Swap { name: "/dev/x".into(), kibibytes: 1024, medium };
    let with = |media: &[Medium], memory| {
        let mut found = ailing(|f, c| {
            f.swaps = Some(media.iter().copied().map(area).collect());
            c.memory = memory;
        });
        found.retain(|(check, _)| check != "locked_memory");
        found
    };
    assert_eq!(with(&[], Memory::Swappable), []);
    assert_eq!(with(&[Medium::Memory, Medium::Encrypted], Memory::Swappable), []);
    assert_eq!(with(&[Medium::Memory, Medium::Plain], Memory::Swappable), one("swap", "fail"));
    assert_eq!(with(&[Medium::Plain], Memory::Locked), []);
}

#[test]
fn loose_or_missing_paths_are_found() {
    assert_eq!(ailing(|_, c| c.state_directory.mode = Some(0o750)), one("state_directory", "fail"));
    assert_eq!(ailing(|_, c| c.state_directory.uid = Some(1)), one("state_directory", "fail"));
    assert_eq!(ailing(|_, c| c.state_directory.mode = None), one("state_directory", "fail"));
    assert_eq!(ailing(|_, c| c.admin_socket.mode = Some(0o660)), one("admin_socket", "fail"));
    assert_eq!(ailing(|_, c| c.admin_socket.mode = None), one("admin_socket", "fail"));
    assert_eq!(ailing(|_, c| c.unix_socket.mode = Some(0o660)), [], "tighter is the operator's choice");
    assert_eq!(ailing(|_, c| c.unix_socket.mode = Some(0o777)), one("unix_socket", "fail"));
}

#[test]
fn what_is_not_known_is_not_taken_for_good() {
    let blind = ailing(|f, c| {
        c.memory = Memory::Swappable;
        *f = Facts {
            core: None,
            is_dumpable: None,
            locked_memory: None,
            open_files: None,
            swaps: None,
            free: None,
            is_clock_synchronised: None,
            ..f.clone()
        };
    });
    assert_eq!(blind.len(), 7);
    assert!(blind.iter().all(|(_, level)| level == "warn"));
}
