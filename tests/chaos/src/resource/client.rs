use std::io;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::{Answer, Request};

/// A connection to the resource.
#[derive(Debug)]
pub struct ResourceClient {
    socket: PathBuf,
    requests: OwnedWriteHalf,
    answers: Lines<BufReader<OwnedReadHalf>>,
}

impl ResourceClient {
    /// Connects.
    ///
    /// # Errors
    /// As the connection fails.
    pub async fn connect(socket: &Path) -> io::Result<Self> {
        let (answers, requests) = UnixStream::connect(socket).await?.into_split();
        Ok(Self { socket: socket.to_owned(), requests, answers: BufReader::new(answers).lines() })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// As the connection fails, or the resource does not understand.
    ///
    /// # Cancel safety
    /// Nobody can tell then whether it was done; the connection is of no more use.
    pub async fn ask(&mut self, request: &Request) -> io::Result<Answer> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.requests.write_all(&line).await?;
        let Some(answer) = self.answers.next_line().await? else {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the resource at {} is gone", self.socket.display()),
            ));
        };
        match serde_json::from_str(&answer)? {
            Answer::Unreadable { why } => Err(io::Error::new(io::ErrorKind::InvalidData, why)),
            answer => Ok(answer),
        }
    }
}
