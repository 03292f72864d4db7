//! Over a socket whose other end is held by the test, to stop and break it where it likes.

use std::time::Duration;

use futures::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::*;

async fn pair() -> (Arc<Wire>, JoinHandle<()>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (wire, task) = Wire::over(ours.unwrap());
    (wire, tokio::spawn(task), theirs.unwrap().0)
}

fn echo(text: &str) -> Cmd {
    let mut command = redis::cmd("ECHO");
    command.arg(text);
    command
}

fn as_text(value: RedisResult<Value>) -> String {
    redis::from_redis_value(value.unwrap()).unwrap()
}

/// Answers each request with its last word, until the other side closes.
async fn answer(socket: TcpStream) -> usize {
    let (mut reader, mut writer) = socket.into_split();
    let mut decoder = combine::stream::Decoder::new();
    let mut answered = 0;
    while let Ok(Value::Array(words)) = redis::parse_redis_value_async(&mut decoder, &mut reader).await {
        let Some(Value::BulkString(word)) = words.last() else { panic!("{words:?}") };
        let head = format!("${}\r\n", word.len());
        writer.write_all(&[head.as_bytes(), word, b"\r\n"].concat()).await.unwrap();
        answered += 1;
    }
    answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everybody_gets_his_own_answer_also_where_others_have_gone() {
    const CALLERS: usize = 50;
    const REQUESTS: usize = 200;
    let (wire, task, socket) = pair().await;
    let answering = tokio::spawn(answer(socket));
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let wire = wire.clone();
        callers.spawn(async move {
            for number in 0..REQUESTS {
                let text = format!("{caller}/{number}");
                if number % 3 == 0 {
                    drop(wire.send(&echo("of nobody")));
                }
                assert_eq!(as_text(wire.request(&echo(&text)).await), text);
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    task.abort();
    let forgotten = CALLERS * REQUESTS.div_ceil(3);
    assert_eq!(answering.await.unwrap(), CALLERS * REQUESTS + forgotten);
}

#[tokio::test]
async fn what_a_full_socket_does_not_take_is_written_later_and_in_order() {
    const REQUESTS: usize = 64;
    let (wire, _task, socket) = pair().await;
    let text = |number| format!("{number:08}").repeat(32 * 1024);
    let answers: Vec<_> = (0..REQUESTS).map(|number| wire.send(&echo(&text(number)))).collect();
    sleep(Duration::from_millis(20)).await;
    assert!(!wire.state().unsent.is_empty(), "the socket takes less than {REQUESTS} large requests");
    tokio::spawn(answer(socket));
    for (number, answer) in answers.into_iter().enumerate() {
        assert!(as_text(answer.await.unwrap()) == text(number), "{number}");
    }
    assert!(wire.state().unsent.is_empty() && wire.state().unsent.capacity() <= KEPT_ROOM);
}

#[tokio::test]
async fn everybody_is_told_of_the_end_and_nobody_waits_after_it() {
    let (wire, task, socket) = pair().await;
    let answers: Vec<_> = (0..20).map(|_| wire.send(&echo("x"))).collect();
    drop(socket);
    let all = timeout(Duration::from_secs(5), join_all(answers)).await.expect("somebody waits on");
    assert!(all.into_iter().all(|answer| !matches!(answer, Ok(Ok(_)))));
    assert!(wire.is_closed());
    assert!(wire.request(&echo("x")).await.unwrap_err().is_io_error());
    task.await.unwrap();
}

#[tokio::test]
async fn nobody_waits_for_a_task_that_was_dropped() {
    let (wire, task, _socket) = pair().await;
    let answer = wire.send(&echo("x"));
    task.abort();
    assert!(timeout(Duration::from_secs(5), answer).await.unwrap().is_err());
    assert!(wire.is_closed());
}

#[tokio::test]
async fn a_refusal_before_any_request_is_the_answer_of_the_first() {
    let (wire, task, mut socket) = pair().await;
    socket.write_all(b"-ERR max number of clients reached\r\n").await.unwrap();
    task.await.unwrap();
    let refusal = wire.request(&echo("x")).await.unwrap_err();
    assert_eq!(refusal.detail(), Some("max number of clients reached"));
    assert!(wire.request(&echo("x")).await.unwrap_err().is_io_error());
}

#[tokio::test]
async fn what_is_no_answer_ends_the_connection() {
    let (wire, _task, mut socket) = pair().await;
    let asked = wire.send(&echo("x"));
    socket.write_all(b"hello\r\n").await.unwrap();
    assert!(timeout(Duration::from_secs(5), asked).await.unwrap().unwrap().is_err());
    assert!(wire.is_closed());
}
