use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use super::error::NetworkError;

/// A subnet of 198.18.0.0/16, which RFC 2544 sets aside for tests; no other network of this machine's tests has it until it is dropped.
///
/// It is reserved as ports are: by an abstract unix socket, which goes with the process.
#[derive(Debug)]
pub(super) struct Subnet {
    number: u8,
    _reservation: UnixListener,
}

impl Subnet {
    pub(super) fn reserve() -> Result<Self, NetworkError> {
        for number in 0..=u8::MAX {
            match reserve(number) {
                Ok(subnet) => return Ok(subnet),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
                Err(error) => return Err(NetworkError::io("cannot reserve a subnet")(error)),
            }
        }
        Err(NetworkError::NoSubnet)
    }

    /// The host's address, from which clients come.
    pub(super) fn host(&self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.number, 1)
    }

    pub(super) fn member(&self, index: usize) -> Ipv4Addr {
        let index = u8::try_from(index).unwrap_or(u8::MAX - 10);
        Ipv4Addr::new(198, 18, self.number, 10 + index)
    }
}

fn reserve(number: u8) -> io::Result<Subnet> {
    let name = SocketAddr::from_abstract_name(format!("leasehold-testkit-subnet-{number}"))?;
    let subnet = Subnet { number, _reservation: UnixListener::bind_addr(&name)? };
    // An interface has the address: a leftover that could not be removed, or a stranger's.
    match UdpSocket::bind((subnet.host(), 0)) {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(_) => Ok(subnet),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_subnet_is_nobody_elses_until_dropped() {
        let (first, second) = (Subnet::reserve().unwrap(), Subnet::reserve().unwrap());
        assert_ne!(first.number, second.number);
        let number = first.number;
        assert_eq!(reserve(number).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        reserve(number).unwrap();
    }
}
