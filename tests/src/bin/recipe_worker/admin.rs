//! Administration.

use leasehold::{Error, Recipe, Standing};

use crate::actor::Actor;
use crate::refuse;

impl Actor {
    pub(crate) async fn admin(&mut self, words: &[&str]) -> Result<(), Error> {
        let [verb, recipe, name, rest @ ..] = words else { self.misunderstood() };
        let (admin, recipe) = (self.coordinator.admin(), recipe_of(recipe));
        match (*verb, rest) {
            ("contenders", []) => {
                let contenders = admin.contenders(recipe, name).await?;
                let shown = contenders.iter().map(|contender| {
                    let standing = match contender.standing {
                        Standing::Holds => "holds",
                        Standing::Waits => "waits",
                    };
                    let pid = contender.details.as_ref().map_or(0, |details| details.holder.pid);
                    format!(" {standing}:{pid}")
                });
                self.say(format_args!("contenders{}", shown.collect::<String>()));
            }
            ("ask", [who]) => {
                self.say(format_args!("asked {}", admin.ask_to_release(recipe, name, who).await?));
            }
            ("force_release", [who]) => {
                self.say(format_args!("released {:?}", admin.force_release(recipe, name, who).await?));
            }
            _ => self.misunderstood(),
        }
        Ok(())
    }
}

fn recipe_of(word: &str) -> Recipe {
    match word {
        "mutex" => Recipe::Mutex,
        "rw_lock" => Recipe::RwLock,
        "semaphore" => Recipe::Semaphore,
        "election" => Recipe::Election,
        "double_barrier" => Recipe::DoubleBarrier,
        _ => refuse(&format!("{word:?} is no recipe that has contenders")),
    }
}
