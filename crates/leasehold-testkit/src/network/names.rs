//! What namespaces and bridges are called, and whose are stale.
//!
//! # Implementation
//!
//! The kernel keeps a named namespace and a bridge when the process that made them dies. So their names carry the process's id, and whoever
//! makes a network first removes those of processes that are gone. Two processes may do so at once: removing what is
//! gone already is no error here. A process id that has come back to life keeps its namesake's leftovers until it ends, unless it is this
//! process, which removes what it finds of its own id before its first network.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::tool::IP;

/// Where `ip netns` keeps names.
const NAMESPACES: &str = "/run/netns";

const INTERFACES: &str = "/sys/class/net";

/// The names of one network. An interface's has at most 15 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Names {
    pid: u32,
    number: u32,
}

impl Names {
    /// Those of the next network of this process.
    pub(super) fn next() -> Self {
        static NEXT: Mutex<u32> = Mutex::new(0);
        let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
        remove_stale(*next == 0);
        *next += 1;
        Self { pid: std::process::id(), number: *next }
    }

    pub(super) fn bridge(self) -> String {
        format!("lh{:x}x{:x}", self.pid, self.number)
    }

    /// The host's end of a member's cable.
    pub(super) fn cable(self, member: usize) -> String {
        format!("{}m{member}", self.bridge())
    }

    pub(super) fn namespace(self, member: usize) -> String {
        format!("leasehold-{}-{}-{member}", self.pid, self.number)
    }

    pub(super) fn namespace_path(self, member: usize) -> PathBuf {
        Path::new(NAMESPACES).join(self.namespace(member))
    }
}

/// Whose bridge or cable it is, by its name.
fn owner_of_interface(name: &str) -> Option<u32> {
    let (pid, _) = name.strip_prefix("lh")?.split_once('x')?;
    u32::from_str_radix(pid, 16).ok()
}

/// Whose namespace it is, by its name.
fn owner_of_namespace(name: &str) -> Option<u32> {
    let (pid, _) = name.strip_prefix("leasehold-")?.split_once('-')?;
    pid.parse().ok()
}

fn remove_stale(own_too: bool) {
    let own = std::process::id();
    let is_stale =
        |pid: u32| if pid == own { own_too } else { !Path::new("/proc").join(pid.to_string()).exists() };
    let mut lines = String::new();
    for name in entries(NAMESPACES) {
        if owner_of_namespace(&name).is_some_and(is_stale) {
            lines += &format!("netns del {name}\n");
        }
    }
    for name in entries(INTERFACES) {
        if owner_of_interface(&name).is_some_and(is_stale) {
            lines += &format!("link del {name}\n");
        }
    }
    if !lines.is_empty() {
        // What another process has removed meanwhile.
        let _ = IP.batch(&["-force", "-batch", "-"], &lines);
    }
}

fn entries(dir: &str) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_whose_they_are_and_fit() {
        let longest = Names { pid: 4_194_304, number: 4_095 };
        assert!(longest.cable(9).len() <= 15, "{}", longest.cable(9));
        assert_eq!(owner_of_interface(&longest.bridge()), Some(longest.pid));
        assert_eq!(owner_of_namespace(&longest.namespace(2)), Some(longest.pid));
        for strange in ["lo", "eth0", "lhx", "lhzx1", "leasehold-", "leasehold-x-1", "docker0"] {
            assert_eq!(owner_of_interface(strange), None, "{strange}");
            assert_eq!(owner_of_namespace(strange), None, "{strange}");
        }
    }
}
