//! All faults.

use std::path::Path;

use super::admin::{DeleteEntry, EndSession};
use super::clock_jumps::ClockJump;
use super::connections::{Connection, Trouble};
use super::disks::{DiskFull, Eio, SlowFsync};
use super::fault::{Class, Fault};
use super::keeping::{Compact, DeleteQueue};
use super::partitions::{Partition, Whom};
use super::pauses::{Kill, Pause};
use super::servers::{How, Servers, Which};
use crate::service::ServiceKind;

/// Makes a fault.
pub type Make = fn() -> Box<dyn Fault>;

/// One line a fault.
const FAULTS: &[Make] = &[
    || Box::<Pause>::default(),
    || Box::<Kill>::default(),
    || Box::new(Connection::new(Trouble::Cut)),
    || Box::new(Connection::new(Trouble::Reset)),
    || Box::new(Connection::new(Trouble::BlackHole)),
    || Box::new(Connection::new(Trouble::HoldRequests)),
    || Box::new(Connection::new(Trouble::DropReplies)),
    || Box::new(Connection::new(Trouble::Delay)),
    || Box::new(Connection::new(Trouble::CutOnReply)),
    || Box::new(Connection::new(Trouble::CutOnRequest)),
    || Box::new(Connection::new(Trouble::LateRequests)),
    || Box::new(Servers::new(How::Killed, Which::Any)),
    || Box::new(Servers::new(How::Killed, Which::Leader)),
    || Box::new(Servers::new(How::Killed, Which::Rolling)),
    || Box::new(Servers::new(How::Killed, Which::All)),
    || Box::new(Servers::new(How::Stopped, Which::Any)),
    || Box::new(Servers::new(How::Stopped, Which::Leader)),
    || Box::new(Partition::of(Whom::Leader)),
    || Box::new(Partition::of(Whom::Follower)),
    || Box::<SlowFsync>::default(),
    || Box::<Eio>::default(),
    || Box::<DiskFull>::default(),
    || Box::<ClockJump>::default(),
    || Box::<EndSession>::default(),
    || Box::<DeleteEntry>::default(),
    || Box::<DeleteQueue>::default(),
    || Box::<Compact>::default(),
];

/// The one of this name.
///
/// # Errors
/// If there is none, with the names of all.
pub fn by_name(name: &str) -> Result<Make, String> {
    let names = || all().map(|make| make().name()).collect::<Vec<_>>().join(", ");
    all()
        .find(|make| make().name() == name)
        .ok_or_else(|| format!("{name:?} is no fault; there are {}", names()))
}

/// All of them.
pub fn all() -> impl Iterator<Item = Make> {
    FAULTS.iter().copied()
}

/// Those that can be done to a service.
pub fn of(service: ServiceKind) -> impl Iterator<Item = Make> {
    all().filter(move |make| make().services().contains(&service))
}

/// Those of a class that can be done to a service.
pub fn of_class(service: ServiceKind, class: Class) -> impl Iterator<Item = Make> {
    of(service).filter(move |make| make().class() == class)
}

/// Whether the programs that a fault needs are there.
///
/// # Errors
/// If one is missing, with its package.
pub fn check_needs(fault: &dyn Fault) -> Result<(), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |program: &str| std::env::split_paths(&path).any(|dir| Path::new(&dir).join(program).is_file());
    match fault.needs().iter().find(|(program, _)| !is_there(program)) {
        Some((program, package)) => {
            Err(format!("{} needs `{program}` (Debian package `{package}`)", fault.name()))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_service_has_all_classes() {
        let mut names: Vec<_> = all().map(|make| make().name()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        for service in ServiceKind::ALL {
            for class in [Class::Client, Class::Connection, Class::Server, Class::Admin] {
                assert!(of_class(service, class).next().is_some(), "{service:?} has nothing of {class:?}");
            }
        }
    }
}
