//! Ports for servers that are started, killed and started again.
//!
//! # Implementation
//!
//! A server's port must stay its own while the server is down, or a restart fails and a client's reconnect meets
//! a stranger. Two things take ports: other fixtures, and the kernel, which hands out ports of the ephemeral range to outgoing
//! connections (even of the client that reconnects: it would talk to itself). So ports come from outside that range,
//! and a [`Port`] holds an abstract unix socket named after it for as long as it lives: abstract names live in the
//! network namespace, as ports do, are taken atomically, and are given back by the kernel when the process dies.
//! Strangers who bind such a port between the look here and the server's start remain: the start is then repeated
//! with other ports.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU32, Ordering};

use super::error::StartError;

/// Below are the ports of well-known services.
const LOWEST: u16 = 10_000;

/// The kernel's range, where it cannot be read.
const USUAL_EPHEMERAL: RangeInclusive<u16> = 32_768..=60_999;

/// A port that nobody listened on, reserved among fixtures until it is dropped. Its number is free on 127.0.0.1, whichever host it is for.
#[derive(Debug)]
pub(crate) struct Port {
    host: Ipv4Addr,
    number: u16,
    _reservation: UnixListener,
}

impl Port {
    /// Reserves one of 127.0.0.1.
    pub(crate) fn reserve() -> Result<Self, StartError> {
        Self::reserve_at(Ipv4Addr::LOCALHOST)
    }

    /// Reserves one of a host, which is this one by one of its names.
    pub(crate) fn reserve_at(host: Ipv4Addr) -> Result<Self, StartError> {
        let usable = usable(ephemeral());
        for _ in 0..usable.len() {
            let number = usable[next_index(usable.len())];
            match reserve(number) {
                Ok(port) => return Ok(Self { host, ..port }),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
                Err(error) => return Err(StartError::io(format!("cannot reserve port {number}"))(error)),
            }
        }
        Err(StartError::Io {
            what: "no free port on 127.0.0.1".into(),
            source: io::ErrorKind::AddrNotAvailable.into(),
        })
    }

    pub(crate) fn host(&self) -> Ipv4Addr {
        self.host
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("{}:{}", self.host, self.number)
    }
}

fn reserve(number: u16) -> io::Result<Port> {
    let name = SocketAddr::from_abstract_name(format!("leasehold-testkit-port-{number}"))?;
    let reservation = UnixListener::bind_addr(&name)?;
    TcpListener::bind((Ipv4Addr::LOCALHOST, number))?;
    Ok(Port { host: Ipv4Addr::LOCALHOST, number, _reservation: reservation })
}

/// Walks the ports from a random start, so that processes which start together rarely meet.
fn next_index(len: usize) -> usize {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static START: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    let start = *START.get_or_init(|| getrandom::u32().unwrap_or(std::process::id()) >> 1);
    (start as usize + NEXT.fetch_add(1, Ordering::Relaxed) as usize) % len
}

fn ephemeral() -> RangeInclusive<u16> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut bounds = text.split_whitespace().map(str::parse);
    match (bounds.next(), bounds.next()) {
        (Some(Ok(low)), Some(Ok(high))) => low..=high,
        _ => USUAL_EPHEMERAL,
    }
}

/// The ports outside the ephemeral range; all of them where a machine's ephemeral range leaves next to none.
fn usable(ephemeral: RangeInclusive<u16>) -> Vec<u16> {
    let outside: Vec<u16> = (LOWEST..=u16::MAX).filter(|port| !ephemeral.contains(port)).collect();
    if outside.len() >= 500 { outside } else { (LOWEST..=u16::MAX).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_is_nobody_elses_until_dropped() {
        let port = Port::reserve().unwrap();
        let again = reserve(port.number()).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
        let number = port.number();
        drop(port);
        reserve(number).unwrap();
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_not_taken() {
        let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(reserve(stranger.local_addr().unwrap().port()).is_err());
    }

    #[test]
    fn ports_avoid_the_ephemeral_range() {
        assert!(!ephemeral().contains(&Port::reserve().unwrap().number()));
        assert!(usable(32_768..=60_999).iter().all(|port| !(32_768..=60_999).contains(port)));
        assert_eq!(usable(1_024..=65_535).len(), usize::from(u16::MAX - LOWEST) + 1);
    }
}
