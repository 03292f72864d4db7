//! The files of a ZooKeeper server that is not running.

use std::fs;
use std::path::Path;

/// Sets the counter of a directory in the newest snapshot below `data`: two thousand million creations in no time.
///
/// A snapshot holds, for each node, the path, the data, the access rights' number and the stat, all in big-endian, and at
/// its end an Adler-32 checksum of everything before (`FileSnap.serialize`). With digests it holds more after that, which this does not
/// know: the server has to run without (`-Dzookeeper.digest.enabled=false`).
///
/// # Panics
/// If there is no snapshot with the directory in it.
pub fn set_counter(data: &Path, directory: &str, counter: i32) {
    let snapshots = fs::read_dir(data.join("version-2")).unwrap();
    let snapshots = snapshots
        .map(|file| file.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("snapshot."));
    let newest = snapshots.max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap()).unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let mut node = u32::try_from(directory.len()).unwrap().to_be_bytes().to_vec();
    node.extend(directory.as_bytes());
    let at = bytes
        .windows(node.len())
        .position(|window| window == node)
        .expect("the directory is in the snapshot");
    let data_at = at + node.len();
    let length = i32::from_be_bytes(bytes[data_at..data_at + 4].try_into().unwrap());
    let stat_at = data_at + 4 + usize::try_from(length.max(0)).unwrap() + 8;
    // After czxid, mzxid, ctime, mtime and version.
    let counter_at = stat_at + 4 * 8 + 4;
    bytes[counter_at..counter_at + 4].copy_from_slice(&counter.to_be_bytes());
    // The checksum as a long, and then the path "/" as the end mark.
    let sealed = bytes.len() - (8 + 4 + 1);
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in &bytes[..sealed] {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    bytes[sealed..sealed + 8].copy_from_slice(&u64::from(high << 16 | low).to_be_bytes());
    fs::write(newest, bytes).unwrap();
}
