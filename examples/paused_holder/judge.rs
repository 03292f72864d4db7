//! Keeps the two stores, stops and resumes the holders, and hears what they say.
//!
//! A holder says `connected`, `granted TOKEN`, `thinking`, `awake IS-HELD`, `lost REASON`, `done` or `failed WHY`, and asks the
//! stores `fenced read TOKEN`, `fenced write TOKEN NUMBER`, `unfenced read`, `unfenced write NUMBER`, which is answered by a
//! number or by `stale`. It is told `start` and `go on`.

use std::error::Error;
use std::time::Instant;

use leasehold::FencingToken;
use leasehold::fencing::{FencedRegister, Stale};
use leasehold_examples::lines::Said;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::holder::Holder;

pub(crate) struct Judge {
    pub(crate) holders: [Box<dyn Holder>; 2],
    pub(crate) said: UnboundedReceiver<Said>,
    done: [bool; 2],
    fenced: FencedRegister<u64>,
    unfenced: u64,
    /// What the fenced store has rejected.
    pub(crate) rejected: Vec<Stale>,
}

impl Judge {
    pub(crate) fn new(holders: [Box<dyn Holder>; 2], said: UnboundedReceiver<Said>) -> Self {
        let fenced = FencedRegister::new(0);
        Self { holders, said, done: [false; 2], fenced, unfenced: 0, rejected: Vec::new() }
    }

    /// The fenced and the unfenced number in the end.
    pub(crate) fn numbers(self) -> (u64, u64) {
        (self.fenced.into_inner(), self.unfenced)
    }

    /// Waits until both holders are connected; they say nothing more before they are told to start.
    pub(crate) async fn connected(&mut self) -> Result<(), Box<dyn Error>> {
        for _ in 0..self.holders.len() {
            let said = self.said.recv().await.ok_or("nobody is there any more")?;
            if said.line != "connected" {
                return Err(format!("holder {}: {}", said.by, said.line).into());
            }
        }
        Ok(())
    }

    /// What `holder` says next, if it begins so: the rest of it, and when.
    pub(crate) async fn expect(
        &mut self,
        holder: usize,
        start: &str,
    ) -> Result<(Instant, String), Box<dyn Error>> {
        let said = self.next(holder).await?;
        match said.line.strip_prefix(start) {
            Some(rest) => Ok((said.at, rest.trim().to_owned())),
            None => Err(format!("holder {holder} says {:?} instead of {start:?}", said.line).into()),
        }
    }

    /// What `holder` says next, while the stores answer. It fails if the other one, which should stand still, speaks.
    pub(crate) async fn next(&mut self, holder: usize) -> Result<Said, Box<dyn Error>> {
        loop {
            let said = self.said.recv().await.ok_or("nobody is there any more")?;
            if self.done[said.by] {
                continue;
            }
            if let Some(error) = said.line.strip_prefix("failed ") {
                return Err(format!("holder {}: {error}", said.by).into());
            }
            if said.by != holder {
                return Err(format!("holder {} says {:?} out of turn", said.by, said.line).into());
            }
            match self.access(&said.line)? {
                Some(answer) => self.holders[holder].tell(&answer)?,
                None => {
                    self.done[holder] = said.line == "done";
                    return Ok(said);
                }
            }
        }
    }

    /// The stores' answer, if it is them who are asked.
    fn access(&mut self, line: &str) -> Result<Option<String>, Box<dyn Error>> {
        let words: Vec<_> = line.split(' ').collect();
        let number = match words.as_slice() {
            ["unfenced", "read"] => Ok(self.unfenced),
            ["unfenced", "write", number] => {
                self.unfenced = number.parse()?;
                Ok(self.unfenced)
            }
            ["fenced", "read", token] => self.fenced.read(token.parse()?),
            ["fenced", "write", token, number] => {
                let (token, number): (FencingToken, u64) = (token.parse()?, number.parse()?);
                self.fenced.write(token, number).map(|()| number)
            }
            _ => return Ok(None),
        };
        Ok(Some(match number {
            Ok(number) => number.to_string(),
            Err(stale) => {
                self.rejected.push(stale);
                "stale".into()
            }
        }))
    }
}
