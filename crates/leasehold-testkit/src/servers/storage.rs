use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::error::StartError;
use super::options::Storage;
use super::small_disk;

/// What a server may need: etcd preallocates two segments of 64 MB.
const ENOUGH: u64 = 256 << 20;

const SHARED_MEMORY: &str = "/dev/shm";

/// The type that `statfs` answers for a tmpfs.
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// Creates an empty directory for one server and says which storage it is on.
pub(super) fn fresh_dir(storage: Storage, what: &str) -> Result<(PathBuf, Storage), StartError> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let (base, found) = base_dir(storage)?;
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = base.join(format!("leasehold-{what}-{}-{number}", std::process::id()));
        match fs::create_dir(&dir) {
            Ok(()) => {
                let Storage::Small(megabytes) = storage else { return Ok((dir, found)) };
                small_disk::mount(&dir, megabytes)?;
                return Ok((dir, storage));
            }
            // Another process namespace with the same process id shares the directory.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(StartError::io(format!("cannot create {}", dir.display()))(error)),
        }
    }
}

/// Removes a directory that no server was started in.
pub(super) fn remove(dir: &Path) {
    small_disk::unmount(dir);
    let _ = fs::remove_dir_all(dir);
}

fn base_dir(storage: Storage) -> Result<(PathBuf, Storage), StartError> {
    let shared_memory = Path::new(SHARED_MEMORY);
    if storage != Storage::Disk && is_tmpfs(shared_memory) && has_room(shared_memory) {
        return Ok((shared_memory.to_owned(), Storage::Tmpfs));
    }
    if let Some(dir) = std::env::var_os("LEASEHOLD_DISK_DIR") {
        return Ok((dir.into(), Storage::Disk));
    }
    let beside_the_program = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_owned()));
    [Some(std::env::temp_dir()), Some("/var/tmp".into()), beside_the_program]
        .into_iter()
        .flatten()
        .find(|dir| dir.is_dir() && !is_tmpfs(dir))
        .map(|dir| (dir, Storage::Disk))
        .ok_or_else(|| StartError::Io {
            what: "no directory on a disk: set LEASEHOLD_DISK_DIR".into(),
            source: std::io::ErrorKind::NotFound.into(),
        })
}

fn is_tmpfs(dir: &Path) -> bool {
    // The field's width and sign differ between machines.
    rustix::fs::statfs(dir).is_ok_and(|stat| stat.f_type as u64 == TMPFS_MAGIC)
}

fn has_room(dir: &Path) -> bool {
    rustix::fs::statvfs(dir).is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) >= ENOUGH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_is_not_tmpfs_and_dirs_are_fresh() {
        let (first, storage) = fresh_dir(Storage::Disk, "storage-test").unwrap();
        let (second, _) = fresh_dir(Storage::Disk, "storage-test").unwrap();
        assert_eq!(storage, Storage::Disk);
        assert!(!is_tmpfs(&first));
        assert_ne!(first, second);
        fs::remove_dir(first).unwrap();
        fs::remove_dir(second).unwrap();
    }
}
