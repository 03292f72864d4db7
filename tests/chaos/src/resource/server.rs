//! # Implementation
//!
//! One thread decides on all requests, one after the other, so each access is atomic; what it has decided is in the log before it is
//! answered.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use leasehold_core::Clock;
use leasehold_core::fencing::Fence;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::log::LogLine;
use super::{Answer, Request, token};

struct Register {
    fence: Fence,
    version: u64,
    value: u64,
}

struct Resource {
    registers: BTreeMap<String, Register>,
    /// `false` only where a run is to show that the checker notices what a fence is for.
    fenced: bool,
    clock: Clock,
    log: File,
}

/// Serves at `socket` until the process ends. Without a fence it accepts whatever comes.
///
/// # Errors
/// If the socket or the log cannot be made.
pub async fn serve(socket: &Path, log: &Path, fenced: bool) -> io::Result<()> {
    let log = File::create(log)?;
    let resource = Resource { registers: BTreeMap::new(), fenced, clock: Clock::system(), log };
    let resource = Arc::new(Mutex::new(resource));
    let listener = UnixListener::bind(socket)?;
    println!("serves");
    loop {
        let (client, _) = listener.accept().await?;
        tokio::spawn(attend(client, Arc::clone(&resource)));
    }
}

/// Answers one client until it is gone.
async fn attend(client: UnixStream, resource: Arc<Mutex<Resource>>) -> io::Result<()> {
    let (requests, mut answers) = client.into_split();
    let mut requests = BufReader::new(requests).lines();
    while let Some(line) = requests.next_line().await? {
        let answer = resource.lock().unwrap_or_else(PoisonError::into_inner).answer(&line);
        let mut answer = serde_json::to_vec(&answer)?;
        answer.push(b'\n');
        answers.write_all(&answer).await?;
    }
    Ok(())
}

impl Resource {
    fn answer(&mut self, line: &str) -> Answer {
        let request: Request = match serde_json::from_str(line) {
            Ok(request) => request,
            Err(error) => return Answer::Unreadable { why: format!("{line:?}: {error}") },
        };
        self.decide(request).unwrap_or_else(|why| Answer::Unreadable { why })
    }

    fn decide(&mut self, request: Request) -> Result<Answer, String> {
        let (name, text, shared) = match &request {
            Request::Read { register, token, shared } => (register, token, *shared),
            Request::Write { register, token, .. } => (register, token, false),
            Request::Inspect => {
                let all = self.registers.iter();
                let all = all.map(|(name, register)| (name.clone(), register.version, register.value));
                return Ok(Answer::Registers { all: all.collect() });
            }
        };
        let token = token(text)?;
        let empty = Register { fence: Fence::new(), version: 0, value: 0 };
        let register = self.registers.entry(name.clone()).or_insert(empty);
        let checked =
            if shared { register.fence.check_shared(token) } else { register.fence.check_exclusive(token) };
        let answer = match checked {
            Err(stale) if self.fenced => Answer::Stale { highest: stale.highest.to_string() },
            _ => {
                if let Request::Write { value, .. } = request {
                    register.version += 1;
                    register.value = value;
                }
                Answer::Accepted { version: register.version, value: register.value }
            }
        };
        let version = register.version;
        let accepted = matches!(answer, Answer::Accepted { .. });
        let at = u64::try_from(self.clock.now().since_origin().as_nanos()).unwrap_or(u64::MAX);
        let mut line = serde_json::to_string(&LogLine { at, request, accepted, version })
            .map_err(|error| error.to_string())?;
        line.push('\n');
        self.log.write_all(line.as_bytes()).map_err(|error| error.to_string())?;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use leasehold_core::FencingToken;

    use super::*;

    #[test]
    fn what_is_stale_is_rejected_unless_there_is_no_fence() {
        for fenced in [true, false] {
            let log = File::create("/dev/null").unwrap();
            let mut resource = Resource { registers: BTreeMap::new(), fenced, clock: Clock::system(), log };
            let token = |order| FencingToken::new(0, order, 0).to_string();
            let write = |order, value| Request::Write { register: "r".into(), token: token(order), value };
            let read = |order| Request::Read { register: "r".into(), token: token(order), shared: false };
            assert_eq!(resource.decide(write(2, 20)), Ok(Answer::Accepted { version: 1, value: 20 }));
            let late = resource.decide(write(1, 10)).unwrap();
            assert_eq!(matches!(late, Answer::Stale { .. }), fenced, "{late:?}");
            let (version, value) = if fenced { (1, 20) } else { (2, 10) };
            assert_eq!(resource.decide(read(3)), Ok(Answer::Accepted { version, value }));
            let all = vec![("r".into(), version, value)];
            let answer = resource.answer(r#"{"ask":"inspect"}"#);
            // As it is sent.
            assert!(serde_json::to_string(&answer).is_ok());
            assert_eq!(answer, Answer::Registers { all });
        }
    }
}
