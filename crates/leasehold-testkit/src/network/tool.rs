use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::error::NetworkError;

/// A program that networks are made with, and what cannot be had when it refuses.
#[derive(Clone, Copy)]
pub(super) struct Tool {
    pub(super) program: &'static str,
    package: &'static str,
    makes: &'static str,
}

pub(super) const IP: Tool =
    Tool { program: "ip", package: "iproute2", makes: "network namespaces joined by a bridge" };

pub(super) const NFT: Tool =
    Tool { program: "nft", package: "nftables", makes: "nftables in network namespaces" };

/// Comes with the same package as `setsid`, which every server needs.
pub(super) const NSENTER: Tool =
    Tool { program: "nsenter", package: "util-linux", makes: "way into a network namespace" };

impl Tool {
    /// An error unless it is installed. `/usr/sbin` counts, which not every user's `PATH` has.
    pub(super) fn wanted(self) -> Result<(), NetworkError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).any(|dir| dir.join(self.program).is_file());
        if found {
            Ok(())
        } else {
            Err(NetworkError::Missing { program: self.program, package: self.package })
        }
    }

    /// Runs it with these lines as its input.
    pub(super) fn batch(self, args: &[&str], lines: &str) -> Result<(), NetworkError> {
        self.fed(Command::new(self.program).args(args), lines)
    }

    /// The same inside a namespace.
    pub(super) fn batch_inside(
        self,
        namespace: &Path,
        args: &[&str],
        lines: &str,
    ) -> Result<(), NetworkError> {
        let mut command = Command::new(NSENTER.program);
        command.arg(net(namespace)).arg(self.program).args(args);
        self.fed(&mut command, lines)
    }

    fn fed(self, command: &mut Command, lines: &str) -> Result<(), NetworkError> {
        let shown = format!("{} {lines:?}", self.program);
        let cannot = || NetworkError::io(format!("cannot run {shown}"));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(cannot())?;
        if let Some(mut input) = child.stdin.take() {
            // If it ends before it has read all, it says why itself.
            let _ = input.write_all(lines.as_bytes());
        }
        let output = child.wait_with_output().map_err(cannot())?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(NetworkError::Unsupported { what: self.makes, command: shown, said })
    }
}

/// `nsenter`'s argument.
pub(super) fn net(namespace: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from("--net=");
    argument.push(namespace);
    argument
}
