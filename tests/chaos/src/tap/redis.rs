//! The tap of Redis: its append-only file, which has what scripts did, command by command, and what expired.
//!
//! # Implementation
//!
//! What lies between `MULTI` and `EXEC` is one transaction; one that has no end yet may be cut off when the server starts again, so it is read the
//! next time. A session has a key in each shard, and all of them expire at one moment: with the first that is gone it is over. Its entries are
//! removed later, by whoever comes across them; they hold nothing by then.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use super::{Tap, TappedEntry};

/// Between two looks at the file.
const PACE: Duration = Duration::from_millis(10);

/// How much is read at once.
const CHUNK: usize = 1 << 20;

/// Starts to read below the server's data directory.
pub(crate) fn start(data: PathBuf, tap: &Tap) {
    let mut reader = Reader { tap: tap.clone(), offset: 0, queues: HashMap::new() };
    tap.reader(tokio::spawn(async move {
        loop {
            if let Some(file) = log(&data) {
                // A file that cannot be read now is read later; the judge misses what is never read.
                let _ = reader.read_on(&file);
            }
            sleep(PACE).await;
        }
    }));
}

/// The file that commands are appended to: there is one as long as nothing is rewritten.
fn log(data: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(data.join("appendonlydir")).ok()?.flatten().map(|file| file.path());
    files.into_iter().find(|path| path.to_string_lossy().ends_with(".incr.aof"))
}

type Command = Vec<Vec<u8>>;

struct Reader {
    tap: Tap,
    offset: u64,
    /// The queue of each entry that is there, by hash and attempt.
    queues: HashMap<(String, String), String>,
}

impl Reader {
    fn read_on(&mut self, file: &Path) -> io::Result<()> {
        let file = File::open(file)?;
        let mut bytes = vec![0; CHUNK];
        loop {
            let count = file.read_at(&mut bytes, self.offset)?;
            let mut rest = &bytes[..count];
            while let Some((commands, after)) = transaction(rest) {
                for command in &commands {
                    self.done(command);
                }
                rest = after;
            }
            let read = count - rest.len();
            self.offset += read as u64;
            if read == 0 {
                return Ok(());
            }
        }
    }

    fn done(&mut self, command: &Command) {
        let Some(words) =
            command.iter().map(|word| std::str::from_utf8(word).ok()).collect::<Option<Vec<_>>>()
        else {
            // What is not text is a value of an entry.
            return;
        };
        let start = format!("{{{}}}:", self.tap.namespace());
        match words[..] {
            [name, key, attempt, header]
                if is(name, "HSET") && key.starts_with(&start) && key.ends_with(":entries") =>
            {
                self.stored(key, attempt, header);
            }
            [name, key, ref attempts @ ..]
                if is(name, "HDEL") && key.starts_with(&start) && key.ends_with(":entries") =>
            {
                for attempt in attempts {
                    if let Some(lock) = self.queues.remove(&(key.to_owned(), (*attempt).to_owned())) {
                        self.tap.removed(&lock, attempt);
                    }
                }
            }
            [name, ref keys @ ..] if is(name, "DEL") || is(name, "UNLINK") => {
                for key in keys.iter().filter(|key| key.starts_with(&start)) {
                    if let Some((_, session)) = key.split_once(":session:")
                        && !self.tap.is_over(session)
                    {
                        self.tap.session_ended(session, false);
                    }
                }
            }
            _ => {}
        }
    }

    /// `<order> <version> <session> <mode> <queue>`, as an entry's header is.
    fn stored(&mut self, key: &str, attempt: &str, header: &str) {
        let parts: Vec<&str> = header.split(' ').collect();
        let [order, version, session, mode, queue] = parts[..] else { return };
        let (Ok(order), Ok(version), Ok(mode)) = (order.parse::<u64>(), version.parse::<u64>(), mode.parse())
        else {
            return;
        };
        let lock = format!("{}/{queue}", self.tap.namespace());
        if order != version {
            return self.tap.changed(&lock, attempt, mode);
        }
        let (entry, session) = (attempt.to_owned(), session.to_owned());
        self.queues.insert((key.to_owned(), entry.clone()), lock.clone());
        self.tap.created(TappedEntry {
            lock,
            entry,
            key: key.to_owned(),
            session,
            order,
            position: order,
            mode,
        });
    }
}

fn is(word: &str, name: &str) -> bool {
    word.eq_ignore_ascii_case(name)
}

/// The first command, or all from `MULTI` to `EXEC`, and what comes after; `None` if it is not whole.
fn transaction(bytes: &[u8]) -> Option<(Vec<Command>, &[u8])> {
    let (first, mut rest) = command(bytes)?;
    let names =
        |command: &Command, name: &[u8]| command.first().is_some_and(|word| word.eq_ignore_ascii_case(name));
    if !names(&first, b"MULTI") {
        return Some((vec![first], rest));
    }
    let mut commands = Vec::new();
    loop {
        let (next, after) = command(rest)?;
        rest = after;
        if names(&next, b"EXEC") {
            return Some((commands, rest));
        }
        commands.push(next);
    }
}

/// One command; an annotation (`#`) is one without words.
fn command(bytes: &[u8]) -> Option<(Command, &[u8])> {
    let (head, mut rest) = line(bytes)?;
    if head.starts_with('#') {
        return Some((Vec::new(), rest));
    }
    let count: usize = head.strip_prefix('*')?.parse().ok()?;
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let (length, after) = line(rest)?;
        let length: usize = length.strip_prefix('$')?.parse().ok()?;
        let (word, after) = after.split_at_checked(length)?;
        words.push(word.to_vec());
        rest = after.strip_prefix(b"\r\n")?;
    }
    Some((words, rest))
}

fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_read_once_it_is_whole() {
        let text = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n#TS:1\r\n*1\r\n$5\r\nMULTI\r\n*2\r\n$3\r\nDEL\r\n$1\r\na\r\n*1\r\n$4\r\nEXEC\r\n";
        let (commands, rest) = transaction(text).unwrap();
        assert_eq!(commands, [[b"SELECT".to_vec(), b"0".to_vec()]]);
        let (commands, rest) = transaction(rest).unwrap();
        assert_eq!(commands, [Command::new()]);
        let (commands, end) = transaction(rest).unwrap();
        assert_eq!((commands, end), (vec![vec![b"DEL".to_vec(), b"a".to_vec()]], &b""[..]));
        for cut in 0..rest.len() {
            assert_eq!(transaction(&rest[..cut]), None, "{cut}");
        }
    }
}
