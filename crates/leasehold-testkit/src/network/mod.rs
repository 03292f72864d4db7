//! Servers in network namespaces of their own, joined by a bridge: packets between any two of them can be dropped while clients stay attached.
//!
//! ```no_run
//! # async fn test() {
//! use leasehold_testkit::network::Network;
//! use leasehold_testkit::servers::{EtcdCluster, ServerOptions};
//!
//! let network = Network::start(3);
//! let cluster = EtcdCluster::start(ServerOptions::default().network(&network)).await;
//! network.isolate(cluster.leader().await); // from the other two; clients still reach it
//! // … the others elect a leader …
//! network.heal();
//! # }
//! ```
//!
//! It needs root, network namespaces, bridges and nftables, and the Debian packages `iproute2` and `nftables`. Whatever is missing is a
//! [`NetworkError`] that names it; nothing is ever skipped. All addresses are in 198.18.0.0/16 and on this machine: there is no route into a
//! namespace from elsewhere and none out of it.
//!
//! # Implementation
//!
//! A member is a namespace with one cable (a veth pair) to the bridge; the bridge has an address of its own, by which the host's processes come
//! in. Each namespace has one nftables set of addresses that it hears nothing from: so a cut acts on packets that arrive, both ways by two
//! sets, and the sender sees loss, not a refusal (a packet that is dropped on its way *out* fails the sender's call). The rules live in the
//! namespaces and end with them; the host's own rules are not touched.
//!
//! The namespaces and the bridge are removed when the last handle is dropped, of which each server in the network has one. After a crash see `names`.

mod error;
mod names;
mod subnet;
mod tool;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;

pub use error::NetworkError;
use names::Names;
use subnet::Subnet;
use tool::{IP, NFT, NSENTER};

/// What a member hears nothing from, empty at first.
const RULES: &str = "table inet leasehold {
    set silenced { type ipv4_addr; }
    chain arriving { type filter hook input priority 0; policy accept; ip saddr @silenced drop; }
}
";

/// Some members that hear each other and the host, until they are cut apart. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Network {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    names: Names,
    subnet: Subnet,
    members: usize,
}

impl Network {
    /// Makes a network of so many members, at most 9, and removes what processes that are gone have left of theirs.
    ///
    /// # Panics
    /// See [`NetworkError`].
    pub fn start(members: usize) -> Self {
        Self::try_start(members).unwrap_or_else(|error| error.panic())
    }

    /// As [`start`](Self::start), without panicking over what [`NetworkError`] tells.
    ///
    /// # Errors
    /// See [`NetworkError`].
    pub fn try_start(members: usize) -> Result<Self, NetworkError> {
        assert!((1..=9).contains(&members), "a network of {members} members");
        let uid = rustix::process::geteuid();
        if !uid.is_root() {
            return Err(NetworkError::NotRoot { uid: uid.as_raw() });
        }
        for tool in [IP, NFT, NSENTER] {
            tool.wanted()?;
        }
        let names = Names::next();
        // From here on its drop removes what there is.
        let shared = Arc::new(Shared { names, subnet: Subnet::reserve()?, members });
        shared.build()?;
        Ok(Self { shared })
    }

    /// How many members it has.
    pub fn members(&self) -> usize {
        self.shared.members
    }

    /// A member's address. The host reaches it, and the other members.
    pub fn address(&self, member: usize) -> Ipv4Addr {
        self.shared.check(member);
        self.shared.subnet.member(member)
    }

    /// The host's own address there: what members see clients come from.
    pub fn host(&self) -> Ipv4Addr {
        self.shared.subnet.host()
    }

    /// What to put before a command line so that it runs inside a member's namespace; the process id stays that of the program.
    pub fn prefix(&self, member: usize) -> Vec<OsString> {
        self.shared.check(member);
        vec![NSENTER.program.into(), tool::net(&self.shared.names.namespace_path(member))]
    }

    /// Drops what arrives at either of two members from the other. Connections stay open and silent.
    ///
    /// # Panics
    /// If the machine refuses.
    pub fn cut(&self, one: usize, other: usize) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }

    /// Drops what arrives at `to` from `from`; the other way packets pass.
    ///
    /// # Panics
    /// If the machine refuses.
    pub fn cut_one_way(&self, from: usize, to: usize) {
        self.silence(to, &[self.address(from)]);
    }

    /// Cuts a member off from all other members. Clients stay attached to it.
    ///
    /// # Panics
    /// If the machine refuses.
    pub fn isolate(&self, member: usize) {
        let others: Vec<usize> = (0..self.members()).filter(|other| *other != member).collect();
        let addresses: Vec<_> = others.iter().map(|other| self.address(*other)).collect();
        self.silence(member, &addresses);
        for other in others {
            self.cut_one_way(member, other);
        }
    }

    /// Drops what the host's processes send to a member: its clients hear nothing more of it.
    ///
    /// # Panics
    /// If the machine refuses.
    pub fn cut_clients(&self, member: usize) {
        self.silence(member, &[self.host()]);
    }

    /// Ends all cuts. What was dropped is sent again when its sender's time for it comes, after a long cut some seconds later.
    ///
    /// # Panics
    /// If the machine refuses.
    pub fn heal(&self) {
        for member in 0..self.members() {
            self.nft(member, "flush set inet leasehold silenced\n");
        }
    }

    fn silence(&self, member: usize, addresses: &[Ipv4Addr]) {
        let list: Vec<_> = addresses.iter().map(Ipv4Addr::to_string).collect();
        if !list.is_empty() {
            self.nft(member, &format!("add element inet leasehold silenced {{ {} }}\n", list.join(", ")));
        }
    }

    fn nft(&self, member: usize, lines: &str) {
        self.shared.check(member);
        let namespace = self.shared.names.namespace_path(member);
        if let Err(error) = NFT.batch_inside(&namespace, &["-f", "-"], lines) {
            error.panic();
        }
    }
}

impl Shared {
    fn check(&self, member: usize) {
        assert!(member < self.members, "member {member} of a network of {}", self.members);
    }

    fn build(&self) -> Result<(), NetworkError> {
        let (names, bridge) = (self.names, self.names.bridge());
        let mut lines = String::new();
        let _ = writeln!(lines, "link add {bridge} type bridge");
        let _ = writeln!(lines, "address add {}/24 dev {bridge}", self.subnet.host());
        let _ = writeln!(lines, "link set {bridge} up");
        for member in 0..self.members {
            let (namespace, cable) = (names.namespace(member), names.cable(member));
            let _ = writeln!(lines, "netns add {namespace}");
            let _ = writeln!(lines, "link add {cable} type veth peer name eth0 netns {namespace}");
            let _ = writeln!(lines, "link set {cable} master {bridge} up");
        }
        IP.batch(&["-batch", "-"], &lines)?;
        for member in 0..self.members {
            let namespace = names.namespace_path(member);
            let address = self.subnet.member(member);
            let lines = format!("link set lo up\naddress add {address}/24 dev eth0\nlink set eth0 up\n");
            IP.batch_inside(&namespace, &["-batch", "-"], &lines)?;
            NFT.batch_inside(&namespace, &["-f", "-"], RULES)?;
        }
        Ok(())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let mut lines = String::new();
        for member in 0..self.members {
            // A namespace lives for as long as its last connection does not know of its end, and a cable as long as its namespace.
            let _ = writeln!(lines, "link del {}", self.names.cable(member));
            let _ = writeln!(lines, "netns del {}", self.names.namespace(member));
        }
        let _ = writeln!(lines, "link del {}", self.names.bridge());
        // Where building it failed, some of it is not there; nobody could be told of anything else.
        let _ = IP.batch(&["-force", "-batch", "-"], &lines);
    }
}
