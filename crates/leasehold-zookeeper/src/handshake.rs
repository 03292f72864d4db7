//! A session as bytes.
//!
//! The client crate takes a session over by a [`SessionInfo`], whose password it neither shows nor lets be set; in 0.11 only a
//! connected client makes one. But every client tells the password to the server that it connects to, and gets it from there. So
//! for the length of one handshake the server is this module, over loopback: to learn a password, a client with the session is
//! let connect and is not answered; to make a session, a client without one is answered with it.
//!
//! Nobody else learns anything: the client proves by a nonce that it is ours before it is answered, and what is listened on
//! is closed only after the client has ended, so that it never connects to somebody else there.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use zookeeper_client::{Client, Connector, SessionId, SessionInfo};

pub(crate) const PASSWORD_BYTES: usize = 16;

pub(crate) type Password = [u8; PASSWORD_BYTES];

const LIMIT: Duration = Duration::from_secs(5);

const NONCE_BYTES: usize = 32;

/// Larger than any of the two frames that are expected.
const LARGEST_FRAME: usize = 1024;

/// The password of a session.
pub(crate) async fn password_of(session: &SessionInfo) -> io::Result<Password> {
    let listener = Listener::bind().await?;
    let connecting = listener.connector().with_session(session.clone()).connect(&listener.address);
    let learning = async {
        let (_stream, hello) = listener.accept().await?;
        if hello.session == session.id().0 { Ok(hello.password) } else { Err(malformed()) }
    };
    tokio::select! {
        biased;
        learned = within_limit(learning) => learned,
        ended = connecting => Err(ended.err().map_or_else(malformed, io::Error::other)),
    }
}

/// A session to take over, by its number and its password.
pub(crate) async fn session(id: i64, password: &Password) -> io::Result<SessionInfo> {
    let listener = Listener::bind().await?;
    let made = async {
        let client = listener.connector().connect(&listener.address).await.map_err(io::Error::other)?;
        let session = client.session().clone();
        let mut states = client.state_watcher();
        drop(client);
        while !states.state().is_terminated() {
            states.changed().await;
        }
        Ok(session)
    };
    let made = tokio::select! {
        biased;
        made = within_limit(made) => made?,
        error = listener.pretend(id, password) => return Err(error),
    };
    if made.id() == SessionId(id) { Ok(made) } else { Err(malformed()) }
}

async fn within_limit<T>(what: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(LIMIT, what).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// What a client says first.
struct Hello {
    session: i64,
    password: Password,
    /// The number of its request to authenticate.
    authentication: i32,
}

struct Listener {
    listener: TcpListener,
    address: String,
    nonce: [u8; NONCE_BYTES],
}

impl Listener {
    async fn bind() -> io::Result<Self> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(io::Error::from)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?.to_string();
        Ok(Self { listener, address, nonce })
    }

    /// Of a client that ends without a word, and shows the nonce as if it were a user's secret.
    fn connector(&self) -> Connector {
        Client::connector()
            .with_session_timeout(LIMIT)
            .with_fail_eagerly()
            .with_detached()
            .with_auth("nonce", &self.nonce)
    }

    /// The first connection that shows the nonce.
    async fn accept(&self) -> io::Result<(TcpStream, Hello)> {
        loop {
            let (mut stream, _) = self.listener.accept().await?;
            // Somebody else, who has nothing to say, keeps nobody waiting for long: the whole has a limit.
            if let Ok(Some(hello)) = self.hear(&mut stream).await {
                return Ok((stream, hello));
            }
        }
    }

    async fn hear(&self, stream: &mut TcpStream) -> io::Result<Option<Hello>> {
        let hello = read_frame(stream).await?;
        let authentication = read_frame(stream).await?;
        Ok(read_hello(&hello, &authentication).filter(|_| authentication.ends_with(&self.nonce)))
    }

    /// Is the server of a session until that fails.
    async fn pretend(&self, id: i64, password: &Password) -> io::Error {
        let serve = async {
            let (mut stream, hello) = self.accept().await?;
            let mut welcome = 0_i32.to_be_bytes().to_vec(); // the protocol's version
            welcome.extend(i32::try_from(LIMIT.as_millis()).unwrap_or(i32::MAX).to_be_bytes());
            welcome.extend(id.to_be_bytes());
            append(&mut welcome, password);
            welcome.push(0); // not read-only
            write_frame(&mut stream, &welcome).await?;
            write_frame(&mut stream, &reply(hello.authentication)).await?;
            loop {
                // The client pings, and then closes the connection.
                match read_frame(&mut stream).await {
                    Ok(request) => {
                        let xid = read_xid(&request).ok_or_else(malformed)?;
                        write_frame(&mut stream, &reply(xid)).await?;
                    }
                    Err(_) => return std::future::pending().await,
                }
            }
        };
        let ended: io::Result<std::convert::Infallible> = serve.await;
        match ended {
            Err(error) => error,
            Ok(never) => match never {},
        }
    }
}

/// That a request was done.
fn reply(xid: i32) -> Vec<u8> {
    [&xid.to_be_bytes()[..], &0_i64.to_be_bytes(), &0_i32.to_be_bytes()].concat()
}

/// The number of a request.
fn read_xid(frame: &[u8]) -> Option<i32> {
    frame.first_chunk().copied().map(i32::from_be_bytes)
}

fn read_hello(frame: &[u8], authentication: &[u8]) -> Option<Hello> {
    // The protocol's version, the last zxid, the time-out.
    let rest = frame.get(4 + 8 + 4..)?;
    let (session, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (password, _read_only) = rest.split_first_chunk()?;
    let authentication = read_xid(authentication)?;
    (usize::try_from(i32::from_be_bytes(*length)) == Ok(PASSWORD_BYTES)).then_some(Hello {
        session: i64::from_be_bytes(*session),
        password: *password,
        authentication,
    })
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn check_hello(frame: &[u8], authentication: &[u8]) -> bool {
    let Some(hello) = read_hello(frame, authentication) else { return false };
    let length = 16_i32.to_be_bytes();
    let shown = [&hello.session.to_be_bytes()[..], &length, &hello.password].concat();
    assert!(frame[16..].starts_with(&shown));
    assert!(authentication.starts_with(&hello.authentication.to_be_bytes()));
    true
}

fn append(frame: &mut Vec<u8>, bytes: &[u8]) {
    frame.extend(i32::try_from(bytes.len()).unwrap_or(i32::MAX).to_be_bytes());
    frame.extend(bytes);
}

async fn write_frame(stream: &mut TcpStream, frame: &[u8]) -> io::Result<()> {
    let mut framed = Vec::with_capacity(frame.len() + 4);
    append(&mut framed, frame);
    stream.write_all(&framed).await
}

async fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = usize::try_from(stream.read_i32().await?).map_err(|_| malformed())?;
    if length > LARGEST_FRAME {
        return Err(malformed());
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame).await?;
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_session_reads_back() {
        let password = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255];
        for id in [1, 0x1000_0000_0000_0001, i64::MIN] {
            let session = session(id, &password).await.unwrap();
            assert_eq!(session.id(), SessionId(id));
            assert_eq!(password_of(&session).await.unwrap(), password);
        }
    }

    #[tokio::test]
    async fn strangers_are_not_answered() {
        let listener = Listener::bind().await.unwrap();
        let stranger = async {
            let mut stream = TcpStream::connect(&listener.address).await.unwrap();
            write_frame(&mut stream, &[0; 45]).await.unwrap();
            write_frame(&mut stream, &[0; 45]).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            answer
        };
        tokio::select! {
            answer = stranger => assert!(answer.is_empty(), "{answer:?}"),
            error = listener.pretend(7, &[9; PASSWORD_BYTES]) => panic!("{error}"),
        }
    }
}
