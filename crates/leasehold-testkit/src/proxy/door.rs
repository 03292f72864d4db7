use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

/// Between attempts to accept while the machine is out of something.
const PAUSE: Duration = Duration::from_millis(10);

/// Where clients come in.
pub(super) struct Door {
    /// Another handle of the listener, to ask the kernel without waiting: the runtime may not have heard of a client that
    /// is connected already.
    direct: std::net::TcpListener,
    listener: TcpListener,
}

impl Door {
    pub(super) fn open(endpoint: &str) -> io::Result<Self> {
        let direct = std::net::TcpListener::bind(endpoint)?;
        direct.set_nonblocking(true)?;
        let listener = TcpListener::from_std(direct.try_clone()?)?;
        Ok(Self { direct, listener })
    }

    /// The next client. Errors of accepting concern one client and no other.
    pub(super) async fn next(&self) -> TcpStream {
        loop {
            match self.listener.accept().await {
                Ok((client, _)) => return client,
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// A client that is connected already.
    pub(super) fn waiting(&self) -> Option<TcpStream> {
        let (client, _) = self.direct.accept().ok()?;
        client.set_nonblocking(true).ok()?;
        TcpStream::from_std(client).ok()
    }
}
