//! ZooKeeper's protocol on a bare socket (`zookeeper.jute`), as far as the floor needs it: without a client crate, and sent at once.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

const CREATE: i32 = 1;
const DELETE: i32 = 2;
const GET_DATA: i32 = 4;
const GET_CHILDREN: i32 = 8;

const SESSION_TIMEOUT_MS: i32 = 60_000;
const PERMANENT: i32 = 0;
const EPHEMERAL_SEQUENTIAL: i32 = 3;
const ALL_PERMISSIONS: i32 = 31;
const NODE_EXISTS: i32 = -110;

/// The number of what is no reply but a watch's event.
const EVENT: i32 = -1;

/// A connection with a session. Requests are written down, sent together, and answered in order.
pub(super) struct Wire {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    unsent: Vec<u8>,
    last_xid: i32,
}

/// What the server says.
pub(super) enum Message {
    Reply { code: i32, body: Vec<u8> },
    Event,
}

impl Wire {
    pub(super) async fn connect(endpoint: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(endpoint).await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let mut wire = Self { reader: BufReader::new(reader), writer, unsent: Vec::new(), last_xid: 0 };
        let mut request = Vec::new();
        request.extend(0_i32.to_be_bytes()); // the protocol's version
        request.extend(0_i64.to_be_bytes()); // the last zxid that was seen
        request.extend(SESSION_TIMEOUT_MS.to_be_bytes());
        request.extend(0_i64.to_be_bytes()); // a session of its own
        append(&mut request, &[0; 16]);
        request.push(0); // not read-only
        append(&mut wire.unsent, &request);
        wire.send().await?;
        wire.frame().await?;
        Ok(wire)
    }

    fn request(&mut self, operation: i32, body: &[&[u8]]) {
        self.last_xid += 1;
        let head = [self.last_xid.to_be_bytes(), operation.to_be_bytes()].concat();
        append(&mut self.unsent, &[&[&head[..]], body].concat().concat());
    }

    pub(super) fn create(&mut self, path: &str, data: &[u8], sequential: bool) {
        let flags = if sequential { EPHEMERAL_SEQUENTIAL } else { PERMANENT };
        let acls = [1_i32.to_be_bytes(), ALL_PERMISSIONS.to_be_bytes()].concat();
        let (path, data) = (buffer(path.as_bytes()), buffer(data));
        let (scheme, id) = (buffer(b"world"), buffer(b"anyone"));
        self.request(CREATE, &[&path, &data, &acls, &scheme, &id, &flags.to_be_bytes()]);
    }

    pub(super) fn delete(&mut self, path: &str) {
        // Whatever its version.
        self.request(DELETE, &[&buffer(path.as_bytes()), &(-1_i32).to_be_bytes()]);
    }

    pub(super) fn children(&mut self, path: &str) {
        self.request(GET_CHILDREN, &[&buffer(path.as_bytes()), &[0]]);
    }

    /// Reads a node and is told of its next change.
    pub(super) fn watch_data(&mut self, path: &str) {
        self.request(GET_DATA, &[&buffer(path.as_bytes()), &[1]]);
    }

    /// Sends what was asked for.
    pub(super) async fn send(&mut self) -> io::Result<()> {
        self.writer.write_all(&self.unsent).await?;
        self.unsent.clear();
        Ok(())
    }

    async fn frame(&mut self) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.reader.read_i32().await?).map_err(io::Error::other)?;
        let mut frame = vec![0; length];
        self.reader.read_exact(&mut frame).await?;
        Ok(frame)
    }

    pub(super) async fn message(&mut self) -> io::Result<Message> {
        let mut frame = self.frame().await?;
        let number = |at: usize| {
            let bytes = frame.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map(i32::from_be_bytes).ok_or(io::ErrorKind::UnexpectedEof)
        };
        let (xid, code) = (number(0)?, number(12)?);
        Ok(if xid == EVENT { Message::Event } else { Message::Reply { code, body: frame.split_off(16) } })
    }

    /// The next reply, which is to be a success.
    pub(super) async fn done(&mut self) -> io::Result<Vec<u8>> {
        match self.message().await? {
            Message::Reply { code: 0, body } => Ok(body),
            Message::Reply { code, .. } => Err(io::Error::other(format!("ZooKeeper answered {code}"))),
            Message::Event => Err(io::Error::other("an event, and nothing is watched")),
        }
    }

    /// Makes a directory unless it is there.
    pub(super) async fn make_directory(&mut self, path: &str) -> io::Result<()> {
        self.create(path, b"", false);
        self.send().await?;
        match self.message().await? {
            Message::Reply { code: 0 | NODE_EXISTS, .. } => Ok(()),
            _ => Err(io::Error::other(format!("{path} was not made"))),
        }
    }
}

/// The text that a reply begins with: the path that was created.
pub(super) fn text(body: &[u8]) -> io::Result<String> {
    let length = body.first_chunk().map(|length| i32::from_be_bytes(*length));
    let length =
        length.and_then(|length| usize::try_from(length).ok()).ok_or(io::ErrorKind::UnexpectedEof)?;
    let text = body.get(4..4 + length).ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(String::from_utf8_lossy(text).into_owned())
}

fn buffer(bytes: &[u8]) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(4 + bytes.len());
    append(&mut buffer, bytes);
    buffer
}

fn append(to: &mut Vec<u8>, bytes: &[u8]) {
    // No request of the floor comes near the largest number.
    to.extend(i32::try_from(bytes.len()).unwrap_or(i32::MAX).to_be_bytes());
    to.extend(bytes);
}
