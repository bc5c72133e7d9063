//! A tight gRPC client, HTTP/2 by hand: prebuilt frames, every answer read whole and checked. As cheap as the HTTP/1.1 one, so
//! that the server is what is measured.
//!
//! Frames and HPACK: RFC 9113 and RFC 7541. The server's windows are larger than what is ever on its way to it.

use std::net::SocketAddr;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Result;
use crate::client::Marked;
use crate::target::{BATCH, Shape, Target};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
/// Settings: no table of headers to keep, and the largest window for each stream.
const OURS: [u8; 12] = [0, 1, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff];
/// What makes the connection's window the largest.
const WIDEN: u32 = 0x7fff_ffff - 65_535;
/// Windows are filled up again after so many bytes.
const REFILL: u32 = 1 << 28;

/// One connection, with at most one stream at a time.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// How much of it was read.
    at: usize,
    /// Number of the next stream.
    next: u32,
    received: u32,
    /// Messages of the answer that is read, with their prefixes.
    body: Vec<u8>,
}

/// A request in frames; the mark is renewed in place.
pub(crate) struct Prepared {
    marked: Marked,
    /// Where the numbers of the stream are.
    streams: Vec<usize>,
    /// Opens a stream that stays.
    opening: Option<Vec<u8>>,
    /// Messages that answer it; what is more is an error.
    answers: usize,
}

impl Prepared {
    pub(crate) fn of(target: Target, address: SocketAddr, key: Option<&str>) -> Result<Self> {
        let (method, messages, answers) = match target.shape {
            Shape::Grpc => ("CallTool", vec![target.protobuf()], 1),
            Shape::GrpcBatch => ("BatchCall", vec![target.protobuf()], BATCH + 1),
            Shape::GrpcMcp => ("Mcp", target.protobufs(), BATCH),
            _ => return Err(format!("{} is not gRPC", target.name)),
        };
        let headers = frame(HEADERS, END_HEADERS, &head(method, address, key));
        let stays = target.shape == Shape::GrpcMcp;
        let mut bytes = Vec::new();
        let mut streams = Vec::new();
        if !stays {
            streams.push(5);
            bytes.extend_from_slice(&headers);
        }
        let flags = if stays { 0 } else { END_STREAM };
        for message in messages {
            let mut prefixed = vec![0];
            prefixed.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
            prefixed.extend_from_slice(&message);
            streams.push(bytes.len() + 5);
            bytes.extend_from_slice(&frame(DATA, flags, &prefixed));
        }
        Ok(Self {
            marked: Marked::new(bytes)?,
            streams,
            opening: stays.then_some(headers),
            answers,
        })
    }

    pub(crate) fn renew(&mut self, number: u64) {
        self.marked.renew(number);
    }
}

impl Connection {
    /// Connects and says what the protocol wants said first.
    ///
    /// # Errors
    /// Nobody listens.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let failed = |error| format!("{address}: {error}");
        let mut stream = TcpStream::connect(address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        hello.extend_from_slice(&frame(SETTINGS, 0, &OURS));
        hello.extend_from_slice(&frame(WINDOW_UPDATE, 0, &WIDEN.to_be_bytes()));
        stream.write_all(&hello).await.map_err(failed)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(64 * 1024),
            at: 0,
            next: 1,
            received: 0,
            body: Vec::new(),
        })
    }

    /// Sends a request and reads all that answers it.
    ///
    /// # Errors
    /// The connection breaks, or the answer is not what was asked for.
    pub(crate) async fn exchange(&mut self, request: &mut Prepared) -> Result<()> {
        let stays = request.opening.is_some();
        if let Some(opening) = request.opening.as_mut().filter(|_| self.next == 1) {
            opening[5..9].copy_from_slice(&1u32.to_be_bytes());
            self.send(opening).await?;
        }
        let number = if stays { 1 } else { self.next };
        for &at in &request.streams {
            request.marked.bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
        }
        self.next = if stays { 3 } else { self.next + 2 };
        self.send(&request.marked.bytes).await?;
        self.body.clear();
        while !self.frame(number, stays, request.answers).await? {}
        let found = messages(&self.body);
        if found != Some(request.answers) || memmem::find(&self.body, request.marked.mark()).is_none() {
            let said = String::from_utf8_lossy(&self.body);
            return Err(format!("wrong answer, {found:?} messages: {said}"));
        }
        Ok(())
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let sent = self.stream.write_all(bytes).await;
        sent.map_err(|error| format!("write: {error}"))
    }

    /// Reads one frame. True if the answer is whole.
    async fn frame(&mut self, number: u32, stays: bool, answers: usize) -> Result<bool> {
        let head = self.take(9).await?;
        let word = |at: usize| u32::from_be_bytes([0, head[at], head[at + 1], head[at + 2]]);
        let (length, kind, flags) = (word(0) as usize, head[3], head[4]);
        let payload = self.take(length).await?;
        match kind {
            DATA => {
                self.body.extend_from_slice(&payload);
                self.received += length as u32;
                if self.received > REFILL {
                    let more = std::mem::take(&mut self.received).to_be_bytes();
                    let mut refill = frame(WINDOW_UPDATE, 0, &more);
                    if stays {
                        let mut own = frame(WINDOW_UPDATE, 0, &more);
                        own[5..9].copy_from_slice(&number.to_be_bytes());
                        refill.extend_from_slice(&own);
                    }
                    self.send(&refill).await?;
                }
                Ok(if stays {
                    messages(&self.body) == Some(answers)
                } else {
                    flags & END_STREAM != 0
                })
            }
            HEADERS if flags & END_STREAM != 0 && stays => Err("the stream ended".to_owned()),
            HEADERS => Ok(flags & END_STREAM != 0),
            SETTINGS if flags & ACK == 0 => self.send(&frame(SETTINGS, ACK, &[])).await.map(|()| false),
            PING if flags & ACK == 0 => self.send(&frame(PING, ACK, &payload)).await.map(|()| false),
            RESET => Err(format!("the stream was reset: {payload:?}")),
            GO_AWAY => Err("the server closes the connection".to_owned()),
            _ => Ok(false),
        }
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.buffer.len() - self.at < length {
            if self.at > 32 * 1024 {
                self.buffer.drain(..self.at);
                self.at = 0;
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) => return Err("the server closed the connection".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(format!("read: {error}")),
            }
        }
        let taken = self.buffer[self.at..self.at + length].to_vec();
        self.at += length;
        Ok(taken)
    }
}

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut out = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 0];
    out.extend_from_slice(payload);
    out
}

/// How many whole messages there are, if nothing is behind the last.
fn messages(mut body: &[u8]) -> Option<usize> {
    let mut count = 0;
    while !body.is_empty() {
        let length = u32::from_be_bytes(body.get(1..5)?.try_into().ok()?) as usize;
        body = body.get(5 + length..)?;
        count += 1;
    }
    Some(count)
}

/// Header fields as literals, which no table keeps.
fn head(method: &str, address: SocketAddr, key: Option<&str>) -> Vec<u8> {
    // Entries of the static table: POST and http whole, others by name.
    let mut out = vec![0x83, 0x86];
    let mut field = |name: &[u8], value: &str| {
        out.extend_from_slice(name);
        out.push(value.len() as u8);
        out.extend_from_slice(value.as_bytes());
    };
    field(&[0x04], &format!("/ferromcp.v1.FerroMcpService/{method}"));
    field(&[0x01], &address.to_string());
    field(&[0x0f, 0x10], "application/grpc");
    field(b"\x00\x02te", "trailers");
    if let Some(key) = key {
        field(b"\x00\x09x-api-key", key);
    }
    out
}

/// A field of bytes.
pub(crate) fn bytes_field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::MARK;

    #[test]
    fn whole_messages_are_counted() {
        let one = [0, 0, 0, 0, 2, b'h', b'i'];
        assert_eq!(messages(&[one, one].concat()), Some(2));
        assert_eq!(messages(&one[..6]), None);
        assert_eq!(messages(&[]), Some(0));
    }

    #[test]
    fn long_fields_have_a_length_in_two_bytes() {
        let field = bytes_field(2, &[7; 300]);
        assert_eq!((&field[..3], field.len()), (&[0x12, 0xac, 0x02][..], 303));
        assert!(memmem::find(&bytes_field(1, MARK.as_bytes()), MARK.as_bytes()).is_some());
    }
}
