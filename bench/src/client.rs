//! A tight HTTP/1.1 keep-alive client: prebuilt requests, no pipelining, every answer read whole and checked.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Result;
use crate::grpc;
use crate::server::Site;
use crate::target::{MARK, Target};

/// An answer longer than this is no echo.
const MAX_ANSWER: usize = 1 << 20;
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// One keep-alive connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    body: Vec<u8>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer<'a> {
    /// HTTP status.
    pub status: u16,
    head: &'a [u8],
    /// The body, chunks joined.
    pub body: &'a [u8],
}

impl Answer<'_> {
    /// The first value of a header, named in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(self.head, name)
    }
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| format!("{address}: {error}"))?;
        stream
            .set_nodelay(true)
            .map_err(|error| format!("{address}: {error}"))?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(16 * 1024),
            body: Vec::new(),
        })
    }

    /// Sends a request and reads its whole answer.
    ///
    /// # Errors
    /// The connection breaks, the answer is no HTTP/1.1, or does not end in time.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream
            .write_all(request)
            .await
            .map_err(|error| format!("write: {error}"))?;
        self.buffer.clear();
        let head = loop {
            self.fill().await?;
            if let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
        };
        let status = std::str::from_utf8(self.buffer.get(9..12).unwrap_or_default())
            .ok()
            .and_then(|digits| digits.parse().ok())
            .ok_or("the answer is no HTTP/1.1")?;
        let length =
            header(&self.buffer[..head], "content-length").and_then(|value| value.parse::<usize>().ok());
        let chunked =
            header(&self.buffer[..head], "transfer-encoding").is_some_and(|value| value == "chunked");
        self.body.clear();
        if chunked {
            self.read_chunks(head).await?;
        } else {
            let end = head + length.unwrap_or(0);
            while self.buffer.len() < end {
                self.fill().await?;
            }
            // No copy on the path that is measured.
            return Ok(Answer {
                status,
                head: &self.buffer[..head],
                body: &self.buffer[head..end],
            });
        }
        Ok(Answer {
            status,
            head: &self.buffer[..head],
            body: &self.body,
        })
    }

    async fn read_chunks(&mut self, head: usize) -> Result<()> {
        let mut at = head;
        loop {
            let line = loop {
                if let Some(end) = memmem::find(&self.buffer[at..], b"\r\n") {
                    break at + end;
                }
                self.fill().await?;
            };
            let size = std::str::from_utf8(&self.buffer[at..line])
                .ok()
                .and_then(|text| usize::from_str_radix(text.split(';').next()?.trim(), 16).ok())
                .ok_or("a chunk without a size")?;
            let start = line + 2;
            while self.buffer.len() < start + size + 2 {
                self.fill().await?;
            }
            self.body.extend_from_slice(&self.buffer[start..start + size]);
            at = start + size + 2;
            if size == 0 {
                return Ok(());
            }
        }
    }

    async fn fill(&mut self) -> Result<()> {
        if self.buffer.len() > MAX_ANSWER {
            return Err(format!("an answer of more than {MAX_ANSWER} bytes"));
        }
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err("the server closed the connection".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("read: {error}")),
        }
    }
}

fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        if !line[..colon].eq_ignore_ascii_case(name.as_bytes()) {
            return None;
        }
        std::str::from_utf8(&line[colon + 1..]).ok().map(str::trim)
    })
}

/// A prebuilt request whose mark is renewed for every call, so that an answer can only be the right one.
pub(crate) struct Marked {
    pub(crate) bytes: Vec<u8>,
    at: usize,
}

impl Marked {
    pub(crate) fn new(bytes: Vec<u8>) -> Result<Self> {
        let at = memmem::find(&bytes, MARK.as_bytes()).ok_or("the request has no mark")?;
        Ok(Self { bytes, at })
    }

    pub(crate) fn renew(&mut self, number: u64) {
        let mut rest = number;
        for digit in self.bytes[self.at..self.at + MARK.len()].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }

    pub(crate) fn mark(&self) -> &[u8] {
        &self.bytes[self.at..self.at + MARK.len()]
    }
}

/// When a connection stops.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// At this moment; answers before the first moment do not count.
    Time(Instant, Instant),
    /// After this many requests.
    Count(u64),
}

/// What one connection measured.
#[derive(Debug, Default)]
pub struct Measured {
    /// Latency of every counted answer, in units of 100 ns.
    pub latencies: Vec<u32>,
}

/// A connection with the request that is repeated on it.
enum Talk {
    Http(Connection, Marked),
    Grpc(grpc::Connection, grpc::Prepared),
}

impl Talk {
    async fn open(target: Target, site: &Site) -> Result<Self> {
        let key = site.key.as_deref();
        if target.shape.is_grpc() {
            let prepared = grpc::Prepared::of(target, site.address, key)?;
            return Ok(Self::Grpc(grpc::Connection::open(site.address).await?, prepared));
        }
        let mut connection = Connection::open(site.address).await?;
        let request = Marked::new(target.request(&mut connection, key).await?)?;
        Ok(Self::Http(connection, request))
    }

    fn renew(&mut self, number: u64) {
        match self {
            Self::Http(_, request) => request.renew(number),
            Self::Grpc(_, request) => request.renew(number),
        }
    }

    async fn once(&mut self) -> Result<()> {
        let (connection, request) = match self {
            Self::Grpc(connection, request) => return connection.exchange(request).await,
            Self::Http(connection, request) => (connection, request),
        };
        let answer = connection.exchange(&request.bytes).await?;
        if answer.status != 200 || memmem::find(answer.body, request.mark()).is_none() {
            let said = String::from_utf8_lossy(answer.body);
            return Err(format!("wrong answer, status {}: {said}", answer.status));
        }
        Ok(())
    }
}

/// Repeats the target's request on one connection and checks every answer.
///
/// # Errors
/// A wrong answer, or none.
pub async fn drive(target: Target, site: Site, number: u64, until: Until) -> Result<Measured> {
    let mut talk = Talk::open(target, &site).await?;
    let mut measured = Measured::default();
    let mut count = 0;
    loop {
        talk.renew(number * 100_000_000 + count);
        let sent = Instant::now();
        tokio::time::timeout(ANSWER_LIMIT, talk.once())
            .await
            .map_err(|_| format!("{}: no answer in {} s", target.name, ANSWER_LIMIT.as_secs()))?
            .map_err(|message| format!("{}: {message}", target.name))?;
        let now = Instant::now();
        count += 1;
        match until {
            Until::Count(limit) if count >= limit => return Ok(measured),
            Until::Count(_) => {}
            Until::Time(_, end) if now >= end => return Ok(measured),
            Until::Time(start, _) if sent < start => {}
            Until::Time(..) => measured.latencies.push(((now - sent).as_nanos() / 100) as u32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_renewed_in_place() {
        let mut marked = Marked::new(format!("a{MARK}b").into_bytes()).unwrap();
        marked.renew(1_234);
        assert_eq!(marked.bytes, b"a0000001234b");
        assert_eq!(marked.mark(), b"0000001234");
    }

    #[test]
    fn headers_are_found_in_any_case() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nMcp-Session-Id:  x \r\n\r\n";
        assert_eq!(header(head, "content-length"), Some("12"));
        assert_eq!(header(head, "mcp-session-id"), Some("x"));
        assert_eq!(header(head, "etag"), None);
    }

    #[tokio::test]
    async fn chunked_answers_that_come_in_pieces_are_joined() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4];
            stream.read_exact(&mut request).await.unwrap();
            for piece in [
                "HTTP/1.1 200 OK\r\nTransfer-Enc",
                "oding: chunked\r\n\r\n3\r",
                "\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            ] {
                stream.write_all(piece.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut connection = Connection::open(address).await.unwrap();
        let answer = connection.exchange(b"ping").await.unwrap();
        assert_eq!((answer.status, answer.body), (200, &b"abcde"[..]));
        server.await.unwrap();
    }
}
