//! The subcommands, a file each.

pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod elect;
pub(crate) mod force_release;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod observe;
pub(crate) mod run;
pub(crate) mod watch;
pub(crate) mod who;
