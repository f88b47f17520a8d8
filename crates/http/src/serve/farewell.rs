//! Refused connections: answered with the reason where that costs little, then closed.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use swoosh_types::rejection::Problem;

/// Refused connections that are answered at the same time; others are closed without an answer.
const AT_ONCE: usize = 64;
/// How long the caller may take to read it.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of a refused caller's request that are read and thrown away, so that closing does not take the
/// answer from it.
const COURTESY_BYTES: usize = 64 << 10;

/// Says why, and closes.
#[derive(Clone)]
pub(super) struct Farewells(Arc<Semaphore>);

impl Farewells {
    pub fn new() -> Farewells {
        Farewells(Arc::new(Semaphore::new(AT_ONCE)))
    }

    /// Answers whatever is asked with this problem. Returns without waiting.
    pub fn say(&self, stream: TcpStream, problem: &Problem) {
        let Ok(permit) = self.0.clone().try_acquire_owned() else { return };
        let answer = answer(problem);
        tokio::spawn(async move {
            let _ = tokio::time::timeout(PATIENCE, tell(stream, &answer)).await;
            drop(permit);
        });
    }
}

fn answer(problem: &Problem) -> Vec<u8> {
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let status = match problem.status {
        400 => "400 Bad Request",
        _ => "503 Service Unavailable",
    };
    let wait_s = problem.retry_after_ms.map_or(1, |ms| ms.div_ceil(1000).max(1));
    let mut answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\n\
         x-content-type-options: nosniff\r\nretry-after: {wait_s}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(&body);
    answer
}

async fn tell(mut stream: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    stream.write_all(answer).await?;
    stream.shutdown().await?;
    let (mut seen, mut scrap) = (0, [0; 1024]);
    while seen < COURTESY_BYTES {
        match stream.read(&mut scrap).await? {
            0 => break,
            read => seen += read,
        }
    }
    Ok(())
}
