//! Elections.

use leasehold::{Error, Leader, LeadershipTicket};

use crate::actor::Actor;
use crate::holds::Place;
use crate::refuse;

impl Actor {
    pub(crate) async fn election(&mut self, words: &[&str]) -> Result<(), Error> {
        match words {
            ["campaign", name, value] => {
                let leadership = self.coordinator.election(name).campaign((*value).to_owned()).await?;
                self.hold(Place::Leader(leadership)).await
            }
            ["try", name, value] => {
                let leadership = self.coordinator.election(name).try_campaign((*value).to_owned()).await?;
                self.hold_if(leadership.map(Place::Leader)).await
            }
            ["resume", name, ticket] => {
                let ticket = read_ticket(ticket);
                let successor =
                    self.coordinator.session().resume(ticket.credentials().clone()).connect().await?;
                let leadership = successor.election(name).resume(&ticket).await?;
                self.hold(Place::Leader(leadership)).await
            }
            ["leader", name] => {
                let leader = self.coordinator.election(name).leader().await?;
                self.say_leader(leader.as_ref());
                Ok(())
            }
            ["observe", name] => {
                let mut leaders = self.coordinator.election(name).observe()?;
                while let Some(leader) = leaders.next().await {
                    self.say_leader(leader.as_ref());
                }
                Ok(())
            }
            _ => self.misunderstood(),
        }
    }

    fn say_leader(&self, leader: Option<&Leader>) {
        match leader {
            Some(leader) => {
                let value = String::from_utf8_lossy(leader.value());
                self.say(format_args!("leader {value} {}", leader.fencing_token()));
            }
            None => self.say("nobody"),
        }
    }
}

fn read_ticket(hex: &str) -> LeadershipTicket {
    let digits = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()));
    let bytes: Option<Vec<u8>> = digits.collect();
    match bytes.and_then(|bytes| LeadershipTicket::from_bytes(&bytes).ok()) {
        Some(ticket) => ticket,
        None => refuse("that is no ticket"),
    }
}
