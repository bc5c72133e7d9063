//! A server over Streamable HTTP, in this process, that can be broken from outside.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::{secure, server};

/// What it does to calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Well = 0,
    /// 500 without a word.
    Failing = 1,
    /// Closes the connection in the middle of the answer.
    Breaking = 2,
    /// With TLS: shows a certificate that nobody trusts.
    Untrusted = 3,
    /// With TLS: closes the connection in the middle of the handshake.
    Silent = 4,
}

#[derive(Debug)]
struct Shared {
    mood: AtomicUsize,
    /// The one session that it knows.
    session: AtomicU64,
    /// Open connections, to be cut off. Closed ones are taken out when there are many.
    open: Mutex<Vec<TcpStream>>,
    tls: Option<secure::Server>,
}

#[derive(Debug)]
pub(super) struct Remote {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<Arc<TcpListener>>,
}

impl Remote {
    pub(super) fn start(tls: Option<secure::Server>) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut remote = Self {
            address: listener.local_addr()?,
            shared: Arc::new(Shared {
                mood: AtomicUsize::new(Mood::Well as usize),
                session: AtomicU64::new(1),
                open: Mutex::default(),
                tls,
            }),
            listening: None,
        };
        remote.listen(listener)?;
        Ok(remote)
    }

    fn listen(&mut self, listener: TcpListener) -> std::io::Result<()> {
        let listener = Arc::new(listener);
        self.listening = Some(Arc::clone(&listener));
        let shared = Arc::downgrade(&self.shared);
        let weak = Arc::downgrade(&listener);
        drop(listener);
        std::thread::Builder::new().spawn(move || {
            loop {
                let Some(listener) = weak.upgrade() else { return };
                let Ok((stream, _)) = listener.accept() else {
                    return;
                };
                drop(listener);
                let (Some(shared), Ok(copy)) = (shared.upgrade(), stream.try_clone()) else {
                    return;
                };
                // A connection that only wakes this thread up to see that it is over.
                if weak.strong_count() == 0 {
                    return;
                }
                {
                    let mut open = shared.open.lock().unwrap_or_else(PoisonError::into_inner);
                    open.retain(|stream| stream.peer_addr().is_ok());
                    open.push(copy);
                }
                let _ = std::thread::Builder::new().spawn(move || serve(stream, &shared));
            }
        })?;
        Ok(())
    }

    pub(super) fn set_mood(&self, mood: Mood) {
        self.shared.mood.store(mood as usize, Ordering::SeqCst);
    }

    /// Knows nobody any more.
    pub(super) fn forget(&self) {
        self.shared.session.fetch_add(1, Ordering::SeqCst);
    }

    /// Refuses connections, and cuts off those that there are.
    pub(super) fn go_down(&mut self) {
        self.listening = None;
        // The thread that accepts holds the listener until somebody comes.
        let _ = TcpStream::connect(self.address);
        self.cut_off();
    }

    /// Ends all connections; new ones are taken as before.
    pub(super) fn cut_off(&self) {
        let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in open.drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    pub(super) fn come_up(&mut self) -> std::io::Result<()> {
        let bound = super::eventually(|| TcpListener::bind(self.address).ok());
        let listener = bound.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::AddrInUse))?;
        self.listen(listener)
    }
}

fn serve(stream: TcpStream, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let Ok(copy) = stream.try_clone() else { return };
    let mood = shared.mood.load(Ordering::SeqCst);
    match &shared.tls {
        None => talk(stream, shared),
        Some(_) if mood == Mood::Silent as usize => {
            // The client has begun, and gets no answer.
            let _ = (&stream).read(&mut [0; 64]);
        }
        Some(tls) => {
            if let Some(stream) = tls.accept(stream, mood != Mood::Untrusted as usize) {
                talk(stream, shared);
            }
        }
    }
    let _ = copy.shutdown(std::net::Shutdown::Both);
}

fn talk(stream: impl Read + Write, shared: &Shared) {
    let mut stream = BufReader::new(stream);
    while let Ok(Some((head, body))) = request(&mut stream) {
        if respond(stream.get_mut(), &head, &body, shared).is_err() {
            break;
        }
    }
}

fn request(stream: &mut BufReader<impl Read>) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if stream.read_line(&mut head)? == 0 {
            return Ok(None);
        }
        if head[before..].trim_end().is_empty() {
            break;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    Ok(Some((head, body)))
}

/// An error ends the connection.
fn respond(stream: &mut impl Write, head: &str, body: &[u8], shared: &Shared) -> std::io::Result<()> {
    let bare = |status: &str| format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let session = format!("s{}", shared.session.load(Ordering::SeqCst));
    let method = request["method"].as_str().unwrap_or_default();
    let known = head.lines().any(|line| {
        line.strip_prefix("mcp-session-id:")
            .is_some_and(|id| id.trim() == session)
    });
    if !head.starts_with("post") {
        return stream.write_all(bare("405 Method Not Allowed").as_bytes());
    }
    if method != "initialize" && !known {
        return stream.write_all(bare("404 Not Found").as_bytes());
    }
    let mood = shared.mood.load(Ordering::SeqCst);
    if method == "tools/call" && mood == Mood::Failing as usize {
        return stream.write_all(bare("500 Internal Server Error").as_bytes());
    }
    let Some(id) = request.get("id") else {
        return stream.write_all(bare("202 Accepted").as_bytes());
    };
    let (member, value) = server::answer(&request).unwrap_or(("error", Value::Null));
    let mut message = serde_json::json!({ "jsonrpc": "2.0", "id": id });
    message[member] = value;
    let text = message.to_string();
    let cut = method == "tools/call" && mood == Mood::Breaking as usize;
    let sent = if cut { &text[..text.len() / 2] } else { &text };
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nmcp-session-id: {session}\r\ncontent-length: {}\r\n\r\n{sent}",
        text.len()
    );
    stream.write_all(answer.as_bytes())?;
    stream.flush()?;
    if cut {
        return Err(std::io::ErrorKind::ConnectionReset.into());
    }
    Ok(())
}
