use std::io;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A client of Redis that knows nothing but the protocol: what an administrator's tool is.
#[derive(Debug)]
pub struct RedisClient {
    stream: BufReader<TcpStream>,
}

/// What Redis answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisReply {
    /// Nothing is there.
    None,
    /// A status or a value.
    Value(Vec<u8>),
    /// A number.
    Number(i64),
    /// Several answers.
    List(Vec<RedisReply>),
    /// It was refused.
    Error(String),
}

impl RedisReply {
    /// The value as text, a number in digits; nothing as the empty text.
    ///
    /// # Panics
    /// If it is an error or a list.
    pub fn text(&self) -> String {
        match self {
            RedisReply::None => String::new(),
            RedisReply::Value(value) => String::from_utf8_lossy(value).into_owned(),
            RedisReply::Number(number) => number.to_string(),
            RedisReply::List(_) | RedisReply::Error(_) => panic!("{self:?} is no text"),
        }
    }

    /// The answers of a list as texts.
    ///
    /// # Panics
    /// If it is none.
    pub fn texts(&self) -> Vec<String> {
        match self {
            RedisReply::List(list) => list.iter().map(RedisReply::text).collect(),
            _ => panic!("{self:?} is no list"),
        }
    }
}

impl RedisClient {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// As the connection fails.
    pub async fn connect(endpoint: &str) -> io::Result<Self> {
        Ok(Self { stream: BufReader::new(TcpStream::connect(endpoint).await?) })
    }

    /// Sends a command and reads the answer. An answer that is an error is `Ok` here.
    ///
    /// # Errors
    /// As the connection fails, or if the server does not speak the protocol.
    pub async fn command(&mut self, words: &[impl AsRef<[u8]>]) -> io::Result<RedisReply> {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            let word = word.as_ref();
            request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        self.stream.write_all(&request).await?;
        self.reply().await
    }

    async fn reply(&mut self) -> io::Result<RedisReply> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        let (sort, rest) = line.split_at_checked(1).ok_or_else(unreadable)?;
        let number = || rest.parse::<i64>().map_err(|_| unreadable());
        Ok(match sort {
            "+" => RedisReply::Value(rest.as_bytes().to_vec()),
            "-" => RedisReply::Error(rest.to_owned()),
            ":" => RedisReply::Number(number()?),
            "$" | "*" if number()? < 0 => RedisReply::None,
            "$" => {
                let length = usize::try_from(number()?).map_err(|_| unreadable())?;
                let mut value = vec![0; length + 2];
                self.stream.read_exact(&mut value).await?;
                value.truncate(length);
                RedisReply::Value(value)
            }
            "*" => {
                let mut list = Vec::new();
                for _ in 0..number()? {
                    list.push(Box::pin(self.reply()).await?);
                }
                RedisReply::List(list)
            }
            _ => return Err(unreadable()),
        })
    }
}

fn unreadable() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not an answer of Redis")
}
