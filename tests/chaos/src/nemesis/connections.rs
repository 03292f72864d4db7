//! The ways between worker processes and servers: cut, silent, one-way, slow, and cut at the worst moment.

use std::time::Duration;

use async_trait::async_trait;
use leasehold_testkit::proxy::Proxy;
use tokio::time::sleep;

use super::fault::{Aim, Arena, Class, Fault};
use crate::dice::Dice;

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Closed, and refused.
    Cut,
    /// Aborted, and refused.
    Reset,
    /// Silent both ways.
    BlackHole,
    /// Requests wait, replies pass.
    HoldRequests,
    /// Requests pass, replies are lost.
    DropReplies,
    /// Everything comes later.
    Delay,
    /// Each new connection is cut in the middle of a reply: what was asked for is done, and nobody hears so.
    CutOnReply,
    /// Each new connection is cut in the middle of a request.
    CutOnRequest,
    /// The client's end is closed, and what it had sent arrives long after.
    LateRequests,
}

/// One kind of trouble, for some of the ways of one process, or the ways of all to one server.
#[derive(Debug)]
pub(super) struct Connection {
    trouble: Trouble,
    /// The ways: process and server.
    ways: Vec<(usize, usize)>,
}

impl Connection {
    pub(super) fn new(trouble: Trouble) -> Self {
        Self { trouble, ways: Vec::new() }
    }

    fn proxies<'a>(&'a self, arena: &'a Arena) -> impl Iterator<Item = &'a Proxy> {
        self.ways.iter().map(|(member, server)| &arena.crew.members()[*member].proxies[*server])
    }
}

#[async_trait]
impl Fault for Connection {
    fn name(&self) -> &'static str {
        match self.trouble {
            Trouble::Cut => "cut",
            Trouble::Reset => "reset",
            Trouble::BlackHole => "black-hole",
            Trouble::HoldRequests => "one-way-in",
            Trouble::DropReplies => "one-way-out",
            Trouble::Delay => "delay",
            Trouble::CutOnReply => "cut-on-reply",
            Trouble::CutOnRequest => "cut-on-request",
            Trouble::LateRequests => "late-requests",
        }
    }

    fn class(&self) -> Class {
        Class::Connection
    }

    async fn aim(&mut self, arena: &Arena, dice: &mut Dice) -> Option<Aim> {
        let members = arena.crew.members();
        let servers = members[0].proxies.len();
        let target = if dice.percent(40) {
            let server = dice.below(servers);
            self.ways = (0..members.len()).map(|member| (member, server)).collect();
            format!("all to server {server}")
        } else {
            let member = dice.below(members.len());
            self.ways = (0..servers).map(|server| (member, server)).collect();
            format!("process {member}")
        };
        // Both shorter and longer than the TTL.
        Some(Aim { target, lasts: dice.millis(100..=5000) })
    }

    async fn inject(&mut self, arena: &Arena, dice: &mut Dice) {
        let (delay, bytes) = (dice.millis(20..=600), dice.below(400));
        for proxy in self.proxies(arena) {
            match self.trouble {
                Trouble::Cut => proxy.cut(),
                Trouble::Reset => proxy.reset(),
                Trouble::BlackHole => proxy.black_hole(),
                Trouble::HoldRequests | Trouble::LateRequests => proxy.hold_requests(),
                Trouble::DropReplies => proxy.drop_replies(),
                Trouble::Delay => proxy.delay(delay),
                Trouble::CutOnReply | Trouble::CutOnRequest => {
                    // Nobody connects anew as long as the old connection is good.
                    proxy.cut();
                    proxy.heal();
                    match self.trouble {
                        Trouble::CutOnReply => proxy.cut_after_reply_bytes(bytes),
                        _ => proxy.cut_after_request_bytes(bytes),
                    }
                }
            }
        }
        if self.trouble == Trouble::LateRequests {
            // Some requests are to be under way.
            sleep(Duration::from_millis(300)).await;
            self.proxies(arena).for_each(Proxy::close_clients);
        }
    }

    async fn heal(&mut self, arena: &Arena) {
        if self.trouble == Trouble::LateRequests {
            self.proxies(arena).for_each(Proxy::release);
            sleep(Duration::from_millis(50)).await;
            // Else nobody ever tells the server that these clients have gone, and one that does not ask keeps what they had: Redis their subscriptions.
            self.proxies(arena).for_each(Proxy::cut);
        }
        self.proxies(arena).for_each(Proxy::heal);
        self.ways.clear();
    }
}
