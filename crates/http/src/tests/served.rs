//! Real connections: graceful drain, and clients that connect and send nothing.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::world::{NoTraffic, World};
use crate::{Gate, Limits, serve};

type Served = JoinHandle<std::io::Result<()>>;

async fn start(world: &World, limits: Limits) -> (std::net::SocketAddr, oneshot::Sender<()>, Served) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let gate = Gate::new(limits, std::sync::Arc::new(NoTraffic));
    let serving = serve(listener, world.router.clone(), gate, Default::default(), None, async { drop(stopped.await) });
    (address, stop, tokio::spawn(serving))
}

async fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_request_that_was_begun_is_answered_after_the_shutdown_and_no_connection_is_taken() {
    let (world, head) = World::begun().await;
    let (address, stop, served) = start(&world, Limits::default()).await;
    let body = serde_json::to_string(&world.pause(head, 1)).unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /transition HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         expect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stop.send(()).unwrap();
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stream.write_all(body.as_bytes()).await.unwrap();
    assert!(rest(stream).await.starts_with("HTTP/1.1 202"));
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_drain_ends_when_its_time_is_over() {
    let (world, _) = World::begun().await;
    let limits = Limits { drain_timeout_ms: 1, ..Limits::default() };
    let (address, stop, served) = start(&world, limits).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "POST /transition HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\
                expect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    stop.send(()).unwrap();
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_without_a_complete_request_is_cut_off() {
    let (world, _) = World::begun().await;
    let limits = Limits { header_timeout_ms: 1, ..Limits::default() };
    let (address, _stop, _served) = start(&world, limits).await;
    for begun in ["", "GET /health HT", "GET /health HTTP/1.1\r\nhost:"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The node may have cut the connection already.
        let _ = stream.write_all(begun.as_bytes()).await;
        let mut byte = [0; 1];
        let read = tokio::time::timeout(Duration::from_secs(60), stream.read(&mut byte)).await;
        assert!(matches!(read, Ok(Ok(0) | Err(_))), "{begun:?}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_answered_and_the_connection_closed() {
    let world = World::with(Limits { request_timeout_ms: 1, ..Limits::default() });
    let (address, _stop, _served) = start(&world, Limits::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let begun =
        "POST /transition HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    stream.write_all(begun.as_bytes()).await.unwrap();
    let answer = rest(stream).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("\"code\":\"request_timeout\""), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_read_on_so_that_the_answer_arrives() {
    let (world, _) = World::begun().await;
    let (address, _stop, _served) = start(&world, Limits::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let begun = "POST /transition HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n\
                 transfer-encoding: chunked\r\n\r\n";
    stream.write_all(begun.as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..32 {
        stream.write_all(chunk.as_bytes()).await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    assert!(rest(stream).await.starts_with("HTTP/1.1 413"));
}
