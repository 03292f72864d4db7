//! Runs, as short as can be: that they measure everybody, not what they measure.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What a short run on a service writes, in a fresh directory.
struct Written {
    page: String,
    dir: PathBuf,
}

impl Written {
    fn by(service: &str) -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(service);
        let _ = std::fs::remove_dir_all(&dir);
        let page = run(service, &dir, "2,3");
        Self { page, dir }
    }

    /// The cells of the row that begins so.
    fn row(&self, cells: &[&str]) -> Option<Vec<String>> {
        self.page.lines().find_map(|line| {
            let row: Vec<String> =
                line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
            let begins = cells
                .iter()
                .enumerate()
                .all(|(at, cell)| row.get(at).is_some_and(|own| own.starts_with(cell)));
            begins.then_some(row)
        })
    }

    fn shows(&self, who: &[&str]) {
        for who in who {
            for clients in ["2", "3"] {
                assert!(
                    self.row(&[clients, who]).is_some(),
                    "{clients} of {who} did not contend: {}",
                    self.page
                );
            }
        }
        assert!(!self.page.contains("is missing"), "{}", self.page);
    }
}

fn run(service: &str, dir: &Path, contenders: &str) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_leasehold-bench"))
        .args([
            "run",
            service,
            "--repetitions",
            "1",
            "--rounds",
            "20",
            "--seconds",
            "0.3",
            "--contentions",
            "1",
        ])
        .args(["--contenders", contenders, "--results"])
        .arg(dir)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let page = std::fs::read_to_string(dir.join(format!("{service}.md"))).unwrap();
    assert_eq!(String::from_utf8_lossy(&run.stdout).trim(), page.trim());
    page
}

#[test]
fn a_run_on_redis_measures_everybody() {
    let written = Written::by("redis");
    written.shows(&["leasehold", "leasehold, one coordinator", "rslock", "redis-py"]);
    // By the server's own count.
    let alone = written.row(&["leasehold"]).unwrap();
    assert_eq!(alone[3], "2.00", "{alone:?}");
}

#[test]
fn a_run_on_etcd_measures_everybody() {
    let written = Written::by("etcd");
    written.shows(&["leasehold", "leasehold, one coordinator", "etcd's lock call", "Go's concurrency.Mutex"]);
    assert!(written.row(&["2", "the floor"]).is_some() && written.row(&["3", "the floor"]).is_none());
    assert!(
        std::fs::read_to_string(written.dir.join("etcd-tmpfs.svg")).unwrap().contains("concurrency.Mutex")
    );
}

/// And a run of a part replaces that part.
#[test]
fn a_run_on_zookeeper_measures_everybody() {
    let written = Written::by("zookeeper");
    written.shows(&["leasehold", "leasehold, one coordinator", "zookeeper-client", "Curator", "kazoo"]);
    let first = written.row(&["3", "kazoo"]);
    let page = run("zookeeper", &written.dir, "2");
    let again = Written { page, ..written };
    again.shows(&["kazoo"]);
    assert_eq!(again.row(&["3", "kazoo"]), first);
    assert_eq!(again.page.matches("| command").count(), 2, "two runs: {}", again.page);
}

#[test]
fn who_asks_wrongly_is_told() {
    for arguments in [
        &["run"][..],
        &["run", "postgres"],
        &["run", "redis", "--rounds", "0"],
        &["run", "redis", "--contenders", "a"],
    ] {
        let run = Command::new(env!("CARGO_BIN_EXE_leasehold-bench")).args(arguments).output().unwrap();
        assert_eq!(run.status.code(), Some(2), "{arguments:?}");
        assert!(!run.stderr.is_empty());
    }
}
