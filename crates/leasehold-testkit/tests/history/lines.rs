//! Histories as JSON lines, and the program that checks them.

use std::fs;
use std::process::Command;

use leasehold_core::Clock;
use leasehold_testkit::history::{
    Call, Checker, History, Kind, Outcome, ReadError, Recorder, parse_lines, read_files,
};

use crate::generator::{Use, generate};
use crate::script::{X, token};

/// What a lost update looks like on disk.
const LOST_UPDATE: &str = r#"
# a and b write, both based on nothing
{"at":1000,"process":"a","event":"invoke","op":1,"call":"write","resource":"disk","token":"00000000000000000000000100000000","based_on":0,"value":1}
{"at":2000,"process":"a","event":"ok","op":1,"outcome":"written","version":1}
{"at":3000,"process":"b","event":"invoke","op":1,"call":"write","resource":"disk","token":"00000000000000000000000200000000","based_on":0,"value":1}
{"at":4000,"process":"b","event":"ok","op":1,"outcome":"written","version":2}
"#;

#[test]
fn what_is_written_reads_back() {
    for usage in [Use::Mutex, Use::ReadersAndWriters, Use::Permits] {
        let events = generate(5, usage, 500);
        let text: String = events.iter().map(|event| event.to_line()).collect();
        assert_eq!(parse_lines("text", &text).unwrap(), events);
    }
}

#[test]
fn a_line_that_was_torn_by_a_kill_is_left_out_and_others_are_reported() {
    let whole = generate(5, Use::Mutex, 20);
    let mut text: String = whole.iter().map(|event| event.to_line()).collect();
    text.truncate(text.len() - 9);
    assert_eq!(parse_lines("text", &text).unwrap(), whole[..whole.len() - 1]);
    text.push('\n');
    let Err(ReadError::Line { name, line, .. }) = parse_lines("text", &text) else { panic!("{text}") };
    assert_eq!((name.as_str(), line), ("text", whole.len()));
}

#[test]
fn files_of_several_processes_are_one_history() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["a", "b"].map(|name| dir.path().join(name));
    let [a, b] =
        ["a", "b"].map(|name| Recorder::to_file(name, Clock::system(), &dir.path().join(name)).unwrap());
    let (mut holder, mut other) = (a, b);
    for order in 1..=20 {
        let lock = "L".into();
        let hold = holder.invoke(Call::Acquire { lock, mode: X, only_if_free: false });
        holder.ok(hold, Outcome::Granted { token: token(order), session: None });
        let release = holder.invoke(Call::Release { hold });
        holder.ok(release, Outcome::Done);
        std::mem::swap(&mut holder, &mut other);
    }
    let history = History::new(read_files(&paths).unwrap());
    let report = Checker::new().check(&history);
    report.assert_sound();
    assert_eq!((report.events, report.grants), (80, 20));
    assert!(matches!(read_files([dir.path().join("none")]), Err(ReadError::File { .. })));
}

#[test]
fn the_program_judges_by_its_exit_status() {
    let dir = tempfile::tempdir().unwrap();
    let (sound, broken) = (dir.path().join("sound.jsonl"), dir.path().join("broken.jsonl"));
    let lines: String = generate(5, Use::Mutex, 200).iter().map(|event| event.to_line()).collect();
    fs::write(&sound, lines).unwrap();
    fs::write(&broken, LOST_UPDATE).unwrap();
    let picture = dir.path().join("picture.svg");
    let run = |arguments: &[&std::ffi::OsStr]| {
        Command::new(env!("CARGO_BIN_EXE_leasehold-check-history")).args(arguments).output().unwrap()
    };

    let output = run(&["--grace-ms".as_ref(), "50".as_ref(), sound.as_ref()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("no violation"), "{output:?}");

    let output = run(&["--timeline".as_ref(), picture.as_ref(), broken.as_ref()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("S1 LostUpdate") && text.contains("\"process\":\"b\""), "{text}");
    assert!(fs::read_to_string(&picture).unwrap().starts_with("<svg"));

    for bad in [vec![], vec!["--unheard-of".as_ref(), broken.as_os_str()], vec!["/nowhere/at/all".as_ref()]] {
        let output = run(&bad);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(!output.stderr.is_empty());
    }
    let events = parse_lines("text", LOST_UPDATE).unwrap();
    let report = Checker::new().check(&History::new(events));
    assert_eq!(report.violations[0].kind, Kind::LostUpdate);
}
