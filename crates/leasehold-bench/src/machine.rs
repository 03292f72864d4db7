//! What it was measured on.

use std::fs;
use std::process::Command;

/// Facts and what they are called.
pub(crate) type Facts = Vec<(&'static str, String)>;

/// The machine, as it says of itself.
pub(crate) fn facts() -> Facts {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".into());
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_else(|| "unknown".into());
    vec![
        ("processor", format!("{processor}, {cores} in use")),
        ("memory", memory),
        ("kernel", first_line("/proc/sys/kernel/osrelease")),
        ("compiler", said_by("rustc", "--version")),
        ("build", if cfg!(debug_assertions) { "debug" } else { "release" }.into()),
    ]
}

/// How many processes wanted to run in the last minute.
pub(crate) fn load() -> String {
    first_line("/proc/loadavg").split(' ').next().unwrap_or("unknown").to_owned()
}

/// The first line that a program prints.
pub(crate) fn said_by(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}

fn first_line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().lines().next().unwrap_or("unknown").to_owned()
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
