//! A server's own small disk, which can be full.
//!
//! # Implementation
//!
//! A tmpfs that is mounted at the server's `data`. Whoever ends the server unmounts it: the watchdog, which knows by the file `small`
//! beside it. Its name among the mounts carries the process's id, and whoever mounts one first unmounts those of processes that are gone with
//! their watchdogs.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use super::error::StartError;
use super::server::{Server, Service};

const NAME: &str = "leasehold-small-";

/// What takes the room.
const FILLER: &str = "filler";

/// Mounts one at `data` in a server's directory.
pub(super) fn mount(dir: &Path, megabytes: u32) -> Result<(), StartError> {
    unmount_stale();
    let data = dir.join("data");
    let what = || StartError::io(format!("cannot mount a disk of {megabytes} MB at {}", data.display()));
    fs::create_dir(&data).map_err(what())?;
    let options = format!("size={megabytes}m,mode=700");
    let name = format!("{NAME}{}", std::process::id());
    let output = Command::new("mount").args(["-t", "tmpfs", "-o", &options, &name]).arg(&data).output();
    let output = output.map_err(what())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let _ = fs::remove_dir_all(dir);
        return Err(what()(io::Error::other(said)));
    }
    File::create(dir.join("small")).map(drop).map_err(what())
}

/// Unmounts it, if there is one.
pub(super) fn unmount(dir: &Path) {
    if dir.join("small").exists() {
        let _ = Command::new("umount").arg("-l").arg(dir.join("data")).status();
    }
}

fn unmount_stale() {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for mount in mounts.lines() {
        let mut fields = mount.split(' ');
        let pid = fields.next().and_then(|name| name.strip_prefix(NAME));
        let (Some(pid), Some(data)) = (pid, fields.next()) else { continue };
        if !Path::new("/proc").join(pid).exists()
            && let Some(dir) = Path::new(data).parent()
        {
            unmount(dir);
            let _ = fs::remove_dir_all(dir);
        }
    }
}

/// Leaves no room on the [small disk](super::Storage::Small) of the server in this directory, until [`free_disk`].
///
/// # Panics
/// If the server has no disk of its own.
pub fn fill_disk(server_dir: &Path) {
    assert!(server_dir.join("small").exists(), "{} is no disk of a server", server_dir.display());
    let filled = File::create(server_dir.join("data").join(FILLER)).and_then(|mut filler| {
        // By pages at the end: the room that is left over is less than one.
        for piece in [1 << 20, 4096].map(|size| vec![0; size]) {
            loop {
                match filler.write_all(&piece) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    });
    if let Err(error) = filled {
        panic!("cannot fill {}: {error}", server_dir.display());
    }
}

/// Gives back what [`fill_disk`] took.
///
/// # Panics
/// If there is nothing to give back.
pub fn free_disk(server_dir: &Path) {
    if let Err(error) = fs::remove_file(server_dir.join("data").join(FILLER)) {
        panic!("cannot free {}: {error}", server_dir.display());
    }
}

impl<S: Service> Server<S> {
    /// [Fills](fill_disk) the server's disk.
    ///
    /// # Panics
    /// Unless its storage is [`Storage::Small`](super::Storage::Small).
    pub fn fill_disk(&self) {
        fill_disk(self.dir());
    }

    /// [Frees](free_disk) it again.
    ///
    /// # Panics
    /// If it is not full.
    pub fn free_disk(&self) {
        free_disk(self.dir());
    }
}
