//! The proxy's faults, between clients and an echo server.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leasehold_testkit::proxy::{Counts, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Long enough for anything on the loopback to arrive that will.
const WHILE: Duration = Duration::from_millis(150);

/// Sends back what it receives, and keeps it.
struct Echo {
    endpoint: String,
    received: watch::Receiver<Vec<u8>>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = listener.local_addr().unwrap().to_string();
        let (sender, received) = watch::channel(Vec::new());
        let sender = Arc::new(sender);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Self::serve(stream, Arc::clone(&sender)));
            }
        });
        Self { endpoint, received }
    }

    async fn serve(mut stream: TcpStream, received: Arc<watch::Sender<Vec<u8>>>) {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            received.send_modify(|all| all.extend_from_slice(&buffer[..length]));
            if stream.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    }

    async fn until_received(&self, all: &[u8]) {
        self.received.clone().wait_for(|received| received == all).await.unwrap();
    }

    fn received(&self) -> Vec<u8> {
        self.received.borrow().clone()
    }
}

async fn pair() -> (Echo, Proxy) {
    let echo = Echo::start().await;
    let proxy = Proxy::start(&echo.endpoint).await;
    (echo, proxy)
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.endpoint()).await.unwrap()
}

async fn send(client: &mut TcpStream, text: &str) {
    client.write_all(text.as_bytes()).await.unwrap();
}

async fn receive(client: &mut TcpStream, text: &str) {
    let mut buffer = vec![0; text.len()];
    client.read_exact(&mut buffer).await.unwrap();
    assert_eq!(String::from_utf8(buffer).unwrap(), text);
}

async fn echoes(client: &mut TcpStream, text: &str) {
    send(client, text).await;
    receive(client, text).await;
}

async fn is_silent(client: &mut TcpStream) -> bool {
    tokio::time::timeout(WHILE, client.read_u8()).await.is_err()
}

/// How a connection ends: the bytes before, and the error or an orderly end.
async fn end(client: &mut TcpStream) -> (usize, Option<ErrorKind>) {
    let mut rest = Vec::new();
    let error = client.read_to_end(&mut rest).await.err().map(|error| error.kind());
    (rest.len(), error)
}

#[tokio::test]
async fn passes_both_ways_and_passes_ends_on() {
    let (echo, proxy) = pair().await;
    let mut client = connect(&proxy).await;
    echoes(&mut client, "hello").await;
    assert_eq!(proxy.counts().accepted, 1);
    assert_eq!(proxy.connections(), 1);
    // Half-closed: the answer to the last request still comes.
    send(&mut client, "last").await;
    client.shutdown().await.unwrap();
    receive(&mut client, "last").await;
    assert_eq!(end(&mut client).await, (0, None));
    proxy.until(|counts| counts.connections == 0).await;
    assert_eq!(echo.received(), b"hellolast");
}

#[tokio::test]
async fn passes_more_than_a_socket_holds() {
    let (_echo, proxy) = pair().await;
    let (mut from, mut to) = connect(&proxy).await.into_split();
    let sent: Vec<u8> = (0..40_000_000u32).map(|i| (i % 251) as u8).collect();
    let copy = sent.clone();
    let sending = tokio::spawn(async move { to.write_all(&copy).await.map(|()| to) });
    let mut received = vec![0; sent.len()];
    from.read_exact(&mut received).await.unwrap();
    assert!(received == sent);
    sending.await.unwrap().unwrap();
}

#[tokio::test]
async fn cut_closes_and_refuses_until_healed() {
    let (_echo, proxy) = pair().await;
    let mut client = connect(&proxy).await;
    echoes(&mut client, "before").await;
    for _ in 0..20 {
        proxy.cut();
        assert_eq!(proxy.connections(), 0);
        assert_eq!(end(&mut client).await, (0, None));
        let refused = TcpStream::connect(proxy.endpoint()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        proxy.heal();
        client = connect(&proxy).await;
        echoes(&mut client, "after").await;
    }
}

#[tokio::test]
async fn reset_is_seen_as_such() {
    let (_echo, proxy) = pair().await;
    let mut client = connect(&proxy).await;
    echoes(&mut client, "before").await;
    proxy.reset();
    assert_eq!(end(&mut client).await, (0, Some(ErrorKind::ConnectionReset)));
}

#[tokio::test]
async fn black_hole_is_silent_and_loses_nothing() {
    let (echo, proxy) = pair().await;
    let mut client = connect(&proxy).await;
    echoes(&mut client, "before").await;
    proxy.black_hole();
    send(&mut client, "inside").await;
    let mut other = connect(&proxy).await;
    send(&mut other, "other").await;
    assert!(is_silent(&mut client).await);
    assert!(is_silent(&mut other).await);
    assert_eq!(echo.received(), b"before");
    proxy.heal();
    receive(&mut client, "inside").await;
    receive(&mut other, "other").await;
}

#[tokio::test]
async fn a_black_hole_hides_that_the_server_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(&listener.local_addr().unwrap().to_string()).await;
    let mut client = connect(&proxy).await;
    let (server, _) = listener.accept().await.unwrap();
    proxy.black_hole();
    drop(server);
    assert!(is_silent(&mut client).await);
    proxy.heal();
    assert_eq!(end(&mut client).await, (0, None));
}

#[tokio::test]
async fn held_requests_wait_while_new_connections_pass() {
    let (echo, proxy) = pair().await;
    let mut client = connect(&proxy).await;
    echoes(&mut client, "before,").await;
    proxy.hold_requests();
    send(&mut client, "held,").await;
    assert_eq!(proxy.until(|counts| counts.held_bytes > 0).await.held_bytes, 5);
    let mut other = connect(&proxy).await;
    echoes(&mut other, "new,").await;
    assert!(is_silent(&mut client).await);
    assert_eq!(echo.received(), b"before,new,");
    proxy.release();
    receive(&mut client, "held,").await;
    assert_eq!(proxy.until(|counts| counts.held_bytes == 0).await.held_bytes, 0);
    assert_eq!(echo.received(), b"before,new,held,");
}

/// The proxy may not have heard of a connection that exists for its client.
#[tokio::test]
async fn a_connection_made_before_a_fault_has_it() {
    let (echo, proxy) = pair().await;
    for _ in 0..50 {
        let mut client = connect(&proxy).await;
        proxy.hold_requests();
        send(&mut client, "held").await;
        proxy.until(|counts| counts.held_bytes == 4).await;
        proxy.cut();
        proxy.heal();
    }
    assert_eq!(echo.received(), b"");
}

#[tokio::test]
async fn held_requests_reach_the_server_after_their_client_has_gone() {
    let (echo, proxy) = pair().await;
    let mut client = connect(&proxy).await;
    echoes(&mut client, "before,").await;
    proxy.hold_requests();
    send(&mut client, "late,").await;
    proxy.until(|counts| counts.held_bytes > 0).await;
    drop(client);
    echoes(&mut connect(&proxy).await, "new,").await;
    proxy.release();
    echo.until_received(b"before,new,late,").await;
    proxy.until(|counts| counts.connections == 0).await;
}

#[tokio::test]
async fn close_clients_ends_the_clients_and_keeps_what_they_sent() {
    let (echo, proxy) = pair().await;
    let mut client = connect(&proxy).await;
    echoes(&mut client, "before,").await;
    proxy.hold_requests();
    send(&mut client, "late,").await;
    proxy.until(|counts| counts.held_bytes > 0).await;
    proxy.close_clients();
    assert_eq!(end(&mut client).await, (0, None));
    // What it says after it was told that nobody listens is not delivered, and neither is its leaving.
    let _ = client.write_all(b"too late,").await;
    drop(client);
    echoes(&mut connect(&proxy).await, "new,").await;
    proxy.release();
    echo.until_received(b"before,new,late,").await;
    tokio::time::sleep(WHILE).await;
    assert_eq!(echo.received(), b"before,new,late,");
    proxy.until(|counts| counts.connections == 1).await;
    proxy.cut();
    assert_eq!(proxy.connections(), 0);
}

#[tokio::test]
async fn dropped_replies_are_lost_and_the_connection_with_them() {
    let (echo, proxy) = pair().await;
    let mut client = connect(&proxy).await;
    let mut unaffected = connect(&proxy).await;
    echoes(&mut client, "before,").await;
    proxy.drop_replies();
    send(&mut client, "unheard,").await;
    let counts = proxy.until(|counts| counts.swallowed_bytes > 0).await;
    assert_eq!(counts.swallowed_bytes, 8);
    assert_eq!(echo.received(), b"before,unheard,");
    assert!(is_silent(&mut client).await);
    echoes(&mut connect(&proxy).await, "new,").await;
    proxy.heal();
    assert_eq!(end(&mut client).await, (0, None));
    echoes(&mut unaffected, "still,").await;
}

#[tokio::test]
async fn delay_is_a_latency_each_way() {
    let (_echo, proxy) = pair().await;
    let mut client = connect(&proxy).await;
    echoes(&mut client, "before").await;
    let delay = Duration::from_millis(100);
    proxy.delay(delay);
    let start = Instant::now();
    for part in ["one", "two", "three"] {
        send(&mut client, part).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    receive(&mut client, "onetwothree").await;
    let took = start.elapsed();
    assert!(took >= delay * 2, "{took:?}");
    assert!(took < delay * 6, "the delays add up: {took:?}");
    proxy.delay(Duration::ZERO);
    let start = Instant::now();
    echoes(&mut client, "after").await;
    assert!(start.elapsed() < delay);
}

#[tokio::test]
async fn cuts_after_reply_bytes_when_the_server_has_done_it() {
    let (echo, proxy) = pair().await;
    let mut all = Vec::new();
    for allowed in 0..6 {
        proxy.cut_after_reply_bytes(allowed);
        let mut client = connect(&proxy).await;
        send(&mut client, "sixby!").await;
        assert_eq!(end(&mut client).await, (allowed, None));
        all.extend_from_slice(b"sixby!");
        assert_eq!(echo.received(), all);
    }
    proxy.cut_after_reply_bytes(6);
    let mut client = connect(&proxy).await;
    echoes(&mut client, "sixby!").await;
    assert!(is_silent(&mut client).await, "nothing more was to be delivered: no cut");
    send(&mut client, "x").await;
    assert_eq!(end(&mut client).await, (0, None));
}

#[tokio::test]
async fn cuts_after_request_bytes() {
    let (echo, proxy) = pair().await;
    proxy.cut_after_request_bytes(4);
    for _ in 0..2 {
        let mut client = connect(&proxy).await;
        send(&mut client, "sixby!").await;
        let (echoed, error) = end(&mut client).await;
        assert!(echoed <= 4 && error.is_none(), "{echoed} {error:?}");
    }
    echo.until_received(b"sixbsixb").await;
    proxy.heal();
    echoes(&mut connect(&proxy).await, "whole again").await;
}

#[tokio::test]
async fn cuts_one_connection_only_if_so_asked() {
    let (_echo, proxy) = pair().await;
    let mut existing = connect(&proxy).await;
    proxy.cut_once_after_reply_bytes(2);
    let mut first = connect(&proxy).await;
    let mut second = connect(&proxy).await;
    send(&mut first, "four").await;
    assert_eq!(end(&mut first).await, (2, None));
    echoes(&mut second, "four").await;
    echoes(&mut existing, "four").await;
}

#[tokio::test]
async fn a_server_that_is_down_is_a_reset_until_it_is_up() {
    // Another proxy is the server: its port stays its own while it refuses connections.
    let (_echo, server) = pair().await;
    let proxy = Proxy::start(&server.endpoint()).await;
    server.cut();
    // The reset comes while the client connects, or after.
    let met = match TcpStream::connect(proxy.endpoint()).await {
        Ok(mut client) => end(&mut client).await.1,
        Err(error) => Some(error.kind()),
    };
    assert_eq!(met, Some(ErrorKind::ConnectionReset));
    server.heal();
    echoes(&mut connect(&proxy).await, "up").await;
}

/// A client that holds its lock by renewals must be able to, whatever the application does with its runtime.
#[test]
fn works_while_the_test_blocks_its_runtime() {
    let echo_runtime = tokio::runtime::Runtime::new().unwrap();
    let echo = echo_runtime.block_on(Echo::start());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let proxy = runtime.block_on(Proxy::start(&echo.endpoint));
    // The runtime is not driven any more.
    use std::io::{Read, Write};
    let mut client = std::net::TcpStream::connect(proxy.endpoint()).unwrap();
    client.write_all(b"hello").unwrap();
    let mut buffer = [0; 5];
    client.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"hello");
    proxy.cut();
    assert_eq!(client.read(&mut buffer).unwrap(), 0);
}

#[tokio::test]
async fn a_dropped_proxy_is_gone() {
    let (_echo, proxy) = pair().await;
    let mut client = connect(&proxy).await;
    echoes(&mut client, "before").await;
    let endpoint = proxy.endpoint();
    drop(proxy);
    assert_eq!(end(&mut client).await.0, 0);
    assert!(TcpStream::connect(endpoint).await.is_err());
}

#[tokio::test]
async fn counts_can_be_awaited_from_many_tasks() {
    let (_echo, proxy) = pair().await;
    let proxy = Arc::new(proxy);
    let seen: Arc<Mutex<Vec<Counts>>> = Arc::default();
    let waiters: Vec<_> = (1..=3)
        .map(|connections| {
            let (proxy, seen) = (Arc::clone(&proxy), Arc::clone(&seen));
            tokio::spawn(async move {
                let counts = proxy.until(|counts| counts.connections >= connections).await;
                seen.lock().unwrap().push(counts);
            })
        })
        .collect();
    let _clients = [connect(&proxy).await, connect(&proxy).await, connect(&proxy).await];
    for waiter in waiters {
        waiter.await.unwrap();
    }
    assert_eq!(seen.lock().unwrap().len(), 3);
}
