//! What carries out the commands of one ID.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use leasehold::{Coordinator, Error};
use tokio::sync::mpsc;

use crate::refuse;

/// Says what happens in the name of an ID.
#[derive(Clone)]
pub(crate) struct Voice(Arc<str>);

impl Voice {
    pub(crate) fn say(&self, outcome: impl Display) {
        println!("{} {outcome}", self.0);
    }
}

/// One ID: its commands, one after the other, and what it says.
pub(crate) struct Actor {
    pub(crate) voice: Voice,
    pub(crate) coordinator: Coordinator,
    commands: mpsc::UnboundedReceiver<String>,
    /// The newest of them.
    command: String,
}

impl Actor {
    pub(crate) fn new(id: &str, coordinator: Coordinator, commands: mpsc::UnboundedReceiver<String>) -> Self {
        Self { voice: Voice(id.into()), coordinator, commands, command: String::new() }
    }

    pub(crate) async fn run(mut self) {
        while let Some(command) = self.next().await {
            let words: Vec<&str> = command.split_whitespace().collect();
            if let Err(error) = self.carry_out(&words).await {
                self.say_error(&error);
            }
        }
    }

    async fn carry_out(&mut self, words: &[&str]) -> Result<(), Error> {
        match words {
            ["mutex", rest @ ..] => self.mutex(rest).await,
            ["rw_lock", rest @ ..] => self.rw_lock(rest).await,
            ["semaphore", rest @ ..] => self.semaphore(rest).await,
            ["multi", rest @ ..] => self.multi(rest).await,
            ["election", rest @ ..] => self.election(rest).await,
            ["barrier", rest @ ..] => self.barrier(rest).await,
            ["latch", rest @ ..] => self.latch(rest).await,
            ["once", rest @ ..] => self.once(rest).await,
            ["register", rest @ ..] => self.register(rest).await,
            ["counter", rest @ ..] => self.counter(rest).await,
            ["group", rest @ ..] => self.group(rest).await,
            ["partition", rest @ ..] => self.partition(rest).await,
            ["double_barrier", rest @ ..] => self.double_barrier(rest).await,
            ["admin", rest @ ..] => self.admin(rest).await,
            // It was meant for work that has ended meanwhile.
            ["finish" | "fail"] => {
                self.say("nothing runs");
                Ok(())
            }
            _ => self.misunderstood(),
        }
    }

    /// The next command of this ID; `None` if there are no more.
    pub(crate) async fn next(&mut self) -> Option<String> {
        let command = self.commands.recv().await?;
        self.command.clone_from(&command);
        Some(command)
    }

    pub(crate) fn say(&self, outcome: impl Display) {
        self.voice.say(outcome);
    }

    pub(crate) fn say_error(&self, error: &Error) {
        let reason = error.loss_reason().map_or("-".to_owned(), |reason| format!("{reason:?}"));
        self.say(format_args!("error {:?} {reason}: {error}", error.kind()));
    }

    /// Ends the process: the test says what has no meaning here.
    pub(crate) fn misunderstood(&self) -> ! {
        refuse(&format!("{} does not understand {:?}", self.voice.0, self.command));
    }

    /// An argument of another type than text.
    pub(crate) fn parse<T: FromStr>(&self, word: &str) -> T {
        match word.parse() {
            Ok(parsed) => parsed,
            Err(_) => refuse(&format!(
                "{} does not understand {:?}: {word:?} is no {}",
                self.voice.0,
                self.command,
                std::any::type_name::<T>()
            )),
        }
    }
}
