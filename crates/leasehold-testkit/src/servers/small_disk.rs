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
use super::options::Storage;
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

impl<S: Service> Server<S> {
    /// Leaves no room on the server's disk, until [`free_disk`](Self::free_disk).
    ///
    /// # Panics
    /// Unless its storage is [`Storage::Small`].
    pub fn fill_disk(&self) {
        assert!(matches!(self.storage(), Storage::Small(_)), "{} has no disk of its own", self.what());
        let filled = File::create(self.dir().join("data").join(FILLER)).and_then(|mut filler| {
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
            panic!("cannot fill the disk of {}: {error}", self.what());
        }
    }

    /// Gives back what [`fill_disk`](Self::fill_disk) took.
    ///
    /// # Panics
    /// If there is nothing to give back.
    pub fn free_disk(&self) {
        if let Err(error) = fs::remove_file(self.dir().join("data").join(FILLER)) {
            panic!("cannot free the disk of {}: {error}", self.what());
        }
    }
}
