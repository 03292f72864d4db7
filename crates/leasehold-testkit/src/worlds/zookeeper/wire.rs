//! The few requests that an administrator makes, in ZooKeeper's own protocol (`zookeeper.jute`): independent of any
//! client crate that a backend stands on.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CREATE: i32 = 1;
const DELETE: i32 = 2;
const GET_CHILDREN: i32 = 8;
const CLOSE_SESSION: i32 = -11;

/// What a server answers when a node is not there, is there already, or has children.
pub(super) const NO_NODE: i32 = -101;
pub(super) const NODE_EXISTS: i32 = -110;
pub(super) const NOT_EMPTY: i32 = -111;

const PASSWORD_BYTES: usize = 16;
const ALL_PERMISSIONS: i32 = 31;

/// A connection with a session.
pub(super) struct Wire {
    stream: TcpStream,
    last_xid: i32,
}

/// The reply to a request: what it brings, or the server's error code.
pub(super) type Reply = Result<Vec<u8>, i32>;

impl Wire {
    /// Connects with a session of its own.
    pub(super) async fn connect(endpoint: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(endpoint).await?;
        stream.write_all(&framed(&connect_request(0, [0; PASSWORD_BYTES]))).await?;
        receive(&mut stream).await?;
        Ok(Self { stream, last_xid: 0 })
    }

    async fn ask(&mut self, operation: i32, body: &[u8]) -> io::Result<Reply> {
        self.last_xid += 1;
        let mut request = [self.last_xid.to_be_bytes(), operation.to_be_bytes()].concat();
        request.extend(body);
        self.stream.write_all(&framed(&request)).await?;
        let reply = receive(&mut self.stream).await?;
        let code =
            reply.get(12..16).and_then(|code| code.try_into().ok()).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(match i32::from_be_bytes(code) {
            0 => Ok(reply[16..].to_vec()),
            code => Err(code),
        })
    }

    /// Creates a persistent node that is open to all.
    pub(super) async fn create(&mut self, path: &str, data: &[u8]) -> io::Result<Reply> {
        let mut body = Vec::new();
        append(&mut body, path.as_bytes());
        append(&mut body, data);
        body.extend(1_i32.to_be_bytes());
        body.extend(ALL_PERMISSIONS.to_be_bytes());
        append(&mut body, b"world");
        append(&mut body, b"anyone");
        body.extend(0_i32.to_be_bytes());
        self.ask(CREATE, &body).await
    }

    pub(super) async fn delete(&mut self, path: &str) -> io::Result<Reply> {
        let mut body = Vec::new();
        append(&mut body, path.as_bytes());
        body.extend((-1_i32).to_be_bytes()); // whatever its version
        self.ask(DELETE, &body).await
    }

    /// The names of a node's children; none if there is no such node.
    pub(super) async fn children(&mut self, path: &str) -> io::Result<Vec<String>> {
        let mut body = Vec::new();
        append(&mut body, path.as_bytes());
        body.push(0); // no watch
        let list = match self.ask(GET_CHILDREN, &body).await? {
            Ok(list) => list,
            Err(NO_NODE) => return Ok(Vec::new()),
            Err(code) => return Err(io::Error::other(format!("listing {path}: error {code}"))),
        };
        let mut names = Vec::new();
        let mut rest = list.get(4..).ok_or(io::ErrorKind::UnexpectedEof)?;
        while let Some((length, more)) = rest.split_first_chunk() {
            let length = usize::try_from(i32::from_be_bytes(*length)).map_err(io::Error::other)?;
            let (name, more) = more.split_at_checked(length).ok_or(io::ErrorKind::UnexpectedEof)?;
            names.push(String::from_utf8_lossy(name).into_owned());
            rest = more;
        }
        Ok(names)
    }
}

/// Ends a session of somebody else's, with everything that is tied to it.
///
/// A lone server makes a session's password from its id alone (`ZooKeeperServer.generatePasswd`), so that it knows it
/// again after a restart; hence so can an administrator.
pub(super) async fn end_session(endpoint: &str, session: i64) -> io::Result<()> {
    // The client that is thrown out reconnects at once and throws this one out in turn, maybe before the session is closed.
    while !try_to_end_session(endpoint, session).await? {}
    Ok(())
}

/// Whether the session is over for certain.
async fn try_to_end_session(endpoint: &str, session: i64) -> io::Result<bool> {
    let mut stream = TcpStream::connect(endpoint).await?;
    let close = [1_i32.to_be_bytes(), CLOSE_SESSION.to_be_bytes()].concat();
    let requests = [framed(&connect_request(session, password(session))), framed(&close)].concat();
    let answers = async {
        stream.write_all(&requests).await?;
        let connected = receive(&mut stream).await?;
        // The server has no such session.
        if connected.get(8..16).is_some_and(|granted| granted == [0; 8]) {
            return Ok(true);
        }
        let closed = receive(&mut stream).await?;
        Ok(closed.get(12..16).is_some_and(|code| code == [0; 4]))
    };
    match answers.await {
        Err(error) if is_thrown_out(&error) => Ok(false),
        answer => answer,
    }
}

fn is_thrown_out(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

fn connect_request(session: i64, password: [u8; PASSWORD_BYTES]) -> Vec<u8> {
    let mut request = Vec::new();
    request.extend(0_i32.to_be_bytes()); // the protocol's version
    request.extend(0_i64.to_be_bytes()); // the last zxid that was seen
    request.extend(10_000_i32.to_be_bytes()); // the time-out in ms
    request.extend(session.to_be_bytes());
    append(&mut request, &password);
    request.push(0); // not read-only
    request
}

fn append(request: &mut Vec<u8>, bytes: &[u8]) {
    let length =
        i32::try_from(bytes.len()).unwrap_or_else(|_| panic!("{} bytes in a test's request", bytes.len()));
    request.extend(length.to_be_bytes());
    request.extend(bytes);
}

fn framed(request: &[u8]) -> Vec<u8> {
    let mut framed = Vec::new();
    append(&mut framed, request);
    framed
}

async fn receive(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = usize::try_from(stream.read_i32().await?).map_err(io::Error::other)?;
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// The first 16 bytes of `new java.util.Random(session ^ 0xB3415C00L)`, whose algorithm Java specifies.
fn password(session: i64) -> [u8; PASSWORD_BYTES] {
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;
    let mut seed = (session.cast_unsigned() ^ 0xB341_5C00 ^ MULTIPLIER) & MASK;
    let mut password = [0; PASSWORD_BYTES];
    for chunk in password.chunks_mut(4) {
        seed = (seed.wrapping_mul(MULTIPLIER) + 0xB) & MASK;
        // The upper 32 of the 48 bits, taken from the lowest byte on.
        for (byte, shift) in chunk.iter_mut().zip([16, 24, 32, 40]) {
            *byte = (seed >> shift) as u8;
        }
    }
    password
}
