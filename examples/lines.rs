//! How a judge and those it judges talk: by lines, over channels or over pipes.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What one of them said.
#[derive(Debug)]
pub struct Said {
    /// Who.
    pub by: usize,
    /// When the judge heard it.
    pub at: Instant,
    /// What.
    pub line: String,
}

/// Says a line to the judge.
pub type Say = Arc<dyn Fn(String) + Send + Sync>;

/// The line to the judge.
pub struct Line {
    /// Its one end.
    pub say: Say,
    /// Its other end.
    pub heard: UnboundedReceiver<String>,
}

impl Line {
    /// A line within this process, and by what its owner, number `by`, is told something.
    pub fn within(by: usize, judge: UnboundedSender<Said>) -> (UnboundedSender<String>, Self) {
        let (tell, heard) = unbounded_channel();
        let say: Say = Arc::new(move |line| {
            // The judge has gone if a run is given up.
            let _ = judge.send(Said { by, at: Instant::now(), line });
        });
        (tell, Self { say, heard })
    }

    /// Says a line.
    pub fn say(&self, line: impl Into<String>) {
        (self.say)(line.into());
    }

    /// What is heard next.
    ///
    /// # Errors
    /// If the judge is gone.
    pub async fn hear(&mut self) -> Result<String, Box<dyn Error>> {
        self.heard.recv().await.ok_or_else(|| "the judge is gone".into())
    }

    /// Says a line and waits for the answer.
    ///
    /// # Errors
    /// If the judge is gone.
    pub async fn ask(&mut self, line: String) -> Result<String, Box<dyn Error>> {
        self.say(line);
        self.hear().await
    }

    /// Says a line and waits until it is told to go on with `word`.
    ///
    /// # Errors
    /// If the judge is gone or says something else.
    pub async fn wait(&mut self, line: &str, word: &str) -> Result<(), Box<dyn Error>> {
        let heard = self.ask(line.into()).await?;
        if heard == word { Ok(()) } else { Err(format!("{heard:?} instead of {word:?}").into()) }
    }
}
