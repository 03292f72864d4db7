use std::ffi::OsString;
use std::net::Ipv4Addr;

use super::options::ServerOptions;
use super::watchdog::CommandLine;

/// Where the member of a cluster listens.
pub(super) fn host(options: &ServerOptions, member: usize) -> Ipv4Addr {
    options.network.as_ref().map_or(Ipv4Addr::LOCALHOST, |network| network.address(member))
}

/// The same command line, inside the member's namespace if it has one.
pub(super) fn inside(options: &ServerOptions, member: usize, line: CommandLine) -> CommandLine {
    let Some(network) = &options.network else { return line };
    let mut words = network.prefix(member);
    words.push(line.program.into_os_string());
    words.extend(line.args);
    let program = words.remove(0).into();
    CommandLine { program, args: words, network: Some(network.clone()), ..line }
}

/// The environment of a server that asks libc for the time.
pub(super) fn env(options: &ServerOptions) -> Vec<(OsString, OsString)> {
    let clock = options.wall_clock.iter().flat_map(|clock| clock.env());
    options.env.iter().cloned().chain(clock).collect()
}
