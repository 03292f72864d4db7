//! Registers, counters, barriers and latches.

use leasehold::{Error, Versioned};

use crate::actor::Actor;

impl Actor {
    pub(crate) async fn register(&mut self, words: &[&str]) -> Result<(), Error> {
        let [verb, name, rest @ ..] = words else { self.misunderstood() };
        let register = self.coordinator.register(name);
        match (*verb, rest) {
            ("read", []) => self.say_value(register.read().await?),
            ("changed", [version]) => self.say_value(register.changed(self.parse(version)).await?),
            ("write", [value]) => {
                let version = register.write((*value).to_owned()).await?;
                self.say(format_args!("version {version}"));
            }
            ("compare_and_set", [version, value]) => {
                match register.compare_and_set(self.parse(version), (*value).to_owned()).await? {
                    Some(version) => self.say(format_args!("version {version}")),
                    None => self.say("other version"),
                }
            }
            ("append", [word, times]) => {
                for round in 0..self.parse::<u32>(times) {
                    let _written = register
                        .update(|seen| {
                            let before = seen.map(|seen| seen.value).unwrap_or_default();
                            let before = String::from_utf8_lossy(&before);
                            Some(format!("{before}{word}{round},").into())
                        })
                        .await?;
                }
                self.say("done");
            }
            _ => self.misunderstood(),
        }
        Ok(())
    }

    fn say_value(&self, read: Option<Versioned>) {
        match read {
            Some(read) => {
                let value = String::from_utf8_lossy(&read.value);
                self.say(format_args!("value {value} {}", read.version));
            }
            None => self.say("nothing"),
        }
    }

    pub(crate) async fn counter(&mut self, words: &[&str]) -> Result<(), Error> {
        let mut answers = Vec::new();
        match words {
            ["get", name] => answers.push(self.coordinator.counter(name).get().await?),
            ["add", name, amount, times] => {
                let (counter, amount) = (self.coordinator.counter(name), self.parse(amount));
                for _ in 0..self.parse::<u32>(times) {
                    answers.push(counter.add(amount).await?);
                }
            }
            _ => self.misunderstood(),
        }
        let answers: Vec<_> = answers.iter().map(i64::to_string).collect();
        self.say(format_args!("counted {}", answers.join(" ")));
        Ok(())
    }

    pub(crate) async fn barrier(&mut self, words: &[&str]) -> Result<(), Error> {
        let [verb, name] = words else { self.misunderstood() };
        let barrier = self.coordinator.barrier(name);
        match *verb {
            "set" => {
                barrier.set().await?;
                self.say("set");
            }
            "lift" => {
                barrier.lift().await?;
                self.say("lifted");
            }
            "is_set" => self.say(barrier.is_set().await?),
            "wait" => {
                barrier.wait().await?;
                self.say("passed");
            }
            _ => self.misunderstood(),
        }
        Ok(())
    }

    pub(crate) async fn latch(&mut self, words: &[&str]) -> Result<(), Error> {
        let [verb, name, count] = words else { self.misunderstood() };
        let latch = self.coordinator.latch(name, self.parse(count));
        match *verb {
            "count_down" => self.say(format_args!("left {}", latch.count_down().await?)),
            "wait" => {
                latch.wait().await?;
                self.say("open");
            }
            _ => self.misunderstood(),
        }
        Ok(())
    }
}
