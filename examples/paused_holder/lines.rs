//! How judge and holders talk: by lines, over channels or over pipes.
//!
//! A holder says `connected`, `granted TOKEN`, `thinking`, `awake IS-HELD`, `lost REASON`, `done` or `failed WHY`, and asks the
//! stores `fenced read TOKEN`, `fenced write TOKEN NUMBER`, `unfenced read`, `unfenced write NUMBER`, which is answered by a
//! number or by `stale`. It is told `start` and `go on`.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedReceiver;

/// What a holder said.
pub(crate) struct Said {
    pub(crate) holder: usize,
    pub(crate) at: Instant,
    pub(crate) line: String,
}

/// Says a line to the judge.
pub(crate) type Say = Arc<dyn Fn(String) + Send + Sync>;

/// A holder's line to the judge.
pub(crate) struct Line {
    pub(crate) say: Say,
    pub(crate) heard: UnboundedReceiver<String>,
}

impl Line {
    pub(crate) fn say(&self, line: impl Into<String>) {
        (self.say)(line.into());
    }

    /// Says a line and waits for the answer.
    pub(crate) async fn ask(&mut self, line: String) -> Result<String, Box<dyn Error>> {
        self.say(line);
        self.heard.recv().await.ok_or_else(|| "the judge is gone".into())
    }

    /// Says a line and waits until it is told to go on with `word`.
    pub(crate) async fn wait(&mut self, line: &str, word: &str) -> Result<(), Box<dyn Error>> {
        let heard = self.ask(line.into()).await?;
        if heard == word { Ok(()) } else { Err(format!("{heard:?} instead of {word:?}").into()) }
    }
}
