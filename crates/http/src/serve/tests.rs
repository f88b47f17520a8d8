//! Connections without the accept loop and the sweeper: what each request costs, and which deadline ends it.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream as StdStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::tests::world::{NoTraffic, World};
use swoosh_types::names::GuardName;
use swoosh_types::rejection::Rejection;

fn service(world: &World, limits: Limits) -> Service {
    Service {
        router: world.router.clone(),
        http: versions(&limits),
        gate: Gate::new(limits, Arc::new(NoTraffic)),
        tls: None,
        reads_open: true,
        browsers: Browsers::new(Ipv4Addr::LOCALHOST.into(), BTreeSet::new()),
        refused: Hush::new(),
    }
}

fn head(method: &str, target: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {target} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Reads one answer whose length is known.
fn answer(stream: &mut StdStream) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

/// Timers of each request took the runtime's one lock: two for a proposal's answer, one for a read's. This runtime has no timers, and
/// panics where one is made.
#[test]
fn a_request_that_comes_whole_makes_no_timer() {
    let timed = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (world, state) = timed.block_on(World::begun());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let proposal = serde_json::to_string(&world.pause(state, 1)).unwrap();
    let asked = [
        (head("POST", "/transition", &proposal), "202"),
        (head("POST", "/transition", &proposal), "202"),
        (head("POST", "/transition", "[]"), "400"),
        (head("GET", "/state", ""), "200"),
    ];
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = std::thread::spawn(move || {
            let mut stream = StdStream::connect(address).unwrap();
            for (request, status) in asked {
                stream.write_all(request.as_bytes()).unwrap();
                let answered = answer(&mut stream);
                assert_eq!(answered.split(' ').nth(1), Some(status), "{answered}");
            }
        });
        let server = Server::new(service(&world, Limits::default()));
        let place = server.registry.admit(Peer::of(address.ip())).ok().unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(server.service.clone().run(stream, Peer::of(address.ip()), place)).await.unwrap();
        client.join().unwrap();
    });
}

/// Says how many connections were opened.
#[derive(Default)]
struct Opened(AtomicUsize);

impl crate::Traffic for Opened {
    fn open(&self, connections: usize) {
        self.0.fetch_max(connections, Ordering::AcqRel);
    }
    fn listens(&self, _: bool) {}
    fn turned_away(&self, _: Turned) {}
    fn shed(&self, _: Code) {}
    fn proposed(&self, _: Option<Code>) {}
    fn unverified(&self, _: GuardName, _: &Rejection) {}
}

/// The connection was closed unanswered, because the drain began before its task first read.
#[tokio::test]
async fn a_request_that_was_sent_before_the_shutdown_is_answered() {
    let (world, _) = World::begun().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = StdStream::connect(listener.local_addr().unwrap()).unwrap();
    client.write_all(head("GET", "/health/live", "").as_bytes()).unwrap();
    let opened = Arc::new(Opened::default());
    let gate = Gate::new(Limits::default(), opened.clone());
    // Ready in the turn that accepts the connection.
    let accepted = std::future::poll_fn(|_| match opened.0.load(Ordering::Acquire) {
        0 => std::task::Poll::Pending,
        _ => std::task::Poll::Ready(()),
    });
    serve(listener, world.router.clone(), gate, BTreeSet::new(), None, accepted).await.unwrap();
    let mut rest = String::new();
    client.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with("HTTP/1.1 200"), "{rest}");
}

/// The committer may be stuck in a disk's write for longer than a caller should wait.
#[tokio::test]
#[expect(clippy::await_holding_lock, reason = "the lock is what hangs the sequencer, on a thread of its own")]
async fn an_answer_that_is_late_is_given_up_by_the_sweeper() {
    let limits = Limits { request_timeout_ms: 100, ..Limits::default() };
    let world = World::with(limits);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let held = world.committers.hold();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let gate = Gate::new(limits, Arc::new(NoTraffic));
    let served =
        tokio::spawn(serve(listener, world.router.clone(), gate, BTreeSet::new(), None, async { drop(stopped.await) }));
    let proposals = [serde_json::to_string(&world.begin()).unwrap(), serde_json::to_string(&world.begin()).unwrap()];
    let client = tokio::task::spawn_blocking(move || {
        let mut stream = StdStream::connect(address).unwrap();
        // The first is answered before its thread is held, the second is never begun.
        proposals.map(|proposal| {
            stream.write_all(head("POST", "/transition", &proposal).as_bytes()).unwrap();
            answer(&mut stream)
        })
    });
    let [first, second] = client.await.unwrap();
    assert!(first.starts_with("HTTP/1.1 202"), "{first}");
    assert!(second.starts_with("HTTP/1.1 503") && second.contains("\"code\":\"not_durable\""), "{second}");
    drop(held);
    stop.send(()).unwrap();
    served.await.unwrap().unwrap();
}
