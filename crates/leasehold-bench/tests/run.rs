//! A run, as short as can be: that it measures everybody, not what it measures.

use std::process::Command;

#[test]
fn a_run_on_redis_measures_everybody() {
    let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let page = dir.join("redis.md");
    let run = Command::new(env!("CARGO_BIN_EXE_leasehold-bench"))
        .args([
            "run",
            "redis",
            "--repetitions",
            "1",
            "--rounds",
            "20",
            "--contenders",
            "2",
            "--seconds",
            "0.3",
        ])
        .arg("--page")
        .arg(&page)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let written = std::fs::read_to_string(&page).unwrap();
    assert_eq!(said.trim(), written.trim());
    let rows = |cells: [&str; 2]| {
        let mut lines = written.lines().map(|line| line.trim_matches('|').split('|').map(str::trim));
        lines.any(|line| line.take(2).eq(cells))
    };
    for who in ["leasehold", "rslock", "redis-py"] {
        assert!(rows(["2", who]), "{who} did not contend: {written}");
    }
    // By the server's own count.
    let leasehold = written.lines().find(|line| line.starts_with("| leasehold ")).unwrap();
    assert_eq!(leasehold.split('|').nth(4).map(str::trim), Some("2.00"), "{leasehold}");
    assert!(!written.contains("is missing"), "{written}");
}

#[test]
fn who_asks_wrongly_is_told() {
    for arguments in
        [&["run"][..], &["run", "redis", "--rounds", "0"], &["run", "redis", "--contenders", "a"]]
    {
        let run = Command::new(env!("CARGO_BIN_EXE_leasehold-bench")).args(arguments).output().unwrap();
        assert_eq!(run.status.code(), Some(2), "{arguments:?}");
        assert!(!run.stderr.is_empty());
    }
}
