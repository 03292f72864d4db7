//! Groups, the division of items, and double barriers.

use std::path::PathBuf;

use leasehold::{Error, GroupEvent, OwnedItem};
use leasehold_tests::Witness;

use crate::actor::{Actor, Voice};
use crate::holds::Place;
use crate::locks::seen;

impl Actor {
    pub(crate) async fn group(&mut self, words: &[&str]) -> Result<(), Error> {
        match words {
            ["join", name, value] => {
                let membership = self.coordinator.group(name).join((*value).to_owned()).await?;
                self.hold(Place::Member(membership)).await
            }
            ["members", name] => {
                let members = self.coordinator.group(name).members().await?;
                let values =
                    members.iter().map(|member| format!(" {}", String::from_utf8_lossy(&member.value)));
                self.say(format_args!("members{}", values.collect::<String>()));
                Ok(())
            }
            ["events", name] => {
                let mut events = self.coordinator.group(name).events()?;
                while let Some(event) = events.next().await {
                    let (what, member) = match event {
                        GroupEvent::Joined(member) => ("joined", member),
                        GroupEvent::Changed(member) => ("changed", member),
                        GroupEvent::Left(member) => ("left", member),
                    };
                    self.say(format_args!("{what} {}", String::from_utf8_lossy(&member.value)));
                }
                Ok(())
            }
            _ => self.misunderstood(),
        }
    }

    pub(crate) async fn partition(&mut self, words: &[&str]) -> Result<(), Error> {
        let ["run", name, dir, items @ ..] = words else { self.misunderstood() };
        let partition = self.coordinator.group(name).partition(items)?;
        let (voice, dir) = (self.voice.clone(), PathBuf::from(dir));
        let stopped = async {
            match self.next().await.as_deref() {
                Some("stop") | None => {}
                Some(_) => self.misunderstood(),
            }
        };
        partition.run(stopped, |item| own(voice.clone(), dir.clone(), item)).await?;
        self.say("over");
        Ok(())
    }

    pub(crate) async fn double_barrier(&mut self, words: &[&str]) -> Result<(), Error> {
        let ["enter", name, parties] = words else { self.misunderstood() };
        let inside = self.coordinator.double_barrier(name, self.parse(parties)).enter().await?;
        self.say(format_args!("entered {}", inside.round()));
        match self.next().await.as_deref() {
            Some("leave") => inside.leave().await?,
            Some(_) => self.misunderstood(),
            None => return Ok(()),
        }
        self.say("left");
        Ok(())
    }
}

/// The work on an item, which ends when it is to end.
async fn own(voice: Voice, dir: PathBuf, item: OwnedItem) {
    let _witnessed = seen(Witness::new(&dir, item.item()).alone(item.held().fencing_token()));
    voice.say(format_args!("owns {}", item.item()));
    let _given = Given { voice, item: item.item().to_owned() };
    item.cancellation_token().cancelled().await;
}

/// Says that an item is given up, also where the work on it is dropped because it was lost.
struct Given {
    voice: Voice,
    item: String,
}

impl Drop for Given {
    fn drop(&mut self) {
        self.voice.say(format_args!("gave {}", self.item));
    }
}
