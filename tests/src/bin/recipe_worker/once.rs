//! Once.

use leasehold::{Completion, Error};

use crate::actor::Actor;

/// The work failed, as it was told to.
struct Failed;

impl Actor {
    pub(crate) async fn once(&mut self, words: &[&str]) -> Result<(), Error> {
        match words {
            ["run", name, occurrence, result] => {
                let once = self.coordinator.once(name).occurrence(occurrence);
                let outcome = once
                    .run(|held| {
                        self.say(format_args!("running {}", held.fencing_token()));
                        self.work(result)
                    })
                    .await?;
                match outcome {
                    Ok(completion) => self.say_completion(&completion),
                    Err(Failed) => self.say("failed"),
                }
                Ok(())
            }
            ["completion", name, occurrence] => {
                match self.coordinator.once(name).occurrence(occurrence).completion().await? {
                    Some(completion) => self.say_completion(&completion),
                    None => self.say("open"),
                }
                Ok(())
            }
            _ => self.misunderstood(),
        }
    }

    /// Ends as it is told to.
    async fn work(&mut self, result: &str) -> Result<String, Failed> {
        match self.next().await.as_deref() {
            Some("finish") => Ok(result.to_owned()),
            Some("fail") => Err(Failed),
            Some(_) => self.misunderstood(),
            None => Err(Failed),
        }
    }

    fn say_completion(&self, completion: &Completion) {
        let result = String::from_utf8_lossy(completion.result());
        let by = if completion.ran_here() { "here" } else { "elsewhere" };
        self.say(format_args!("done {result} {by}"));
    }
}
