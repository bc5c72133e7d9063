//! What the two processes say to each other: frames of a length (4 bytes, little endian) and JSON, or records of the audit log.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use ferromcp_endpoint::Handed;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use super::used::Used;
use super::{Socket, Sockets};

/// Processes that speak different ones cannot take each other's place.
pub(super) const FORMAT: u32 = 1;
/// Largest frame, in bytes.
const MAX_FRAME: usize = 256 << 20;
/// Most sockets that are handed over; the system passes 253 at a time (`SCM_MAX_FD`).
const MAX_SOCKETS: usize = 200;

/// The first message of the old process; the sockets come before it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) format: u32,
    pub(super) records: u32,
    pub(super) pid: u32,
    pub(super) version: String,
    /// Door and configured address of each socket.
    pub(super) sockets: Vec<(String, SocketAddr)>,
    /// Servers that are ready.
    pub(super) ready: Vec<String>,
    pub(super) sealing_key: Option<[u8; 32]>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Said {
    Hello(Box<Hello>),
    /// New: the configuration is good; let go of the log and the store.
    LetGo,
    /// Old: done.
    Gone,
    /// New: the servers are ready; stop accepting.
    Ready,
    /// Old: nobody accepts now. These are all sessions, and what is used of limits.
    Yours(Vec<Handed>, Used),
    /// New: it serves.
    Serving {
        pid: u32,
        version: String,
    },
    /// New: it cannot.
    Failed(String),
    /// A session, to be confirmed.
    Session(u64, Box<Handed>),
    Confirmed(u64),
    Ended(String),
    Message(String, String),
    /// Records of the audit log, to be confirmed.
    #[serde(skip)]
    Records(u64, Vec<u8>),
}

const JSON: u8 = 1;
const RECORDS: u8 = 2;

impl Said {
    pub(super) fn frame(&self) -> io::Result<Vec<u8>> {
        let mut frame = vec![0; 4];
        match self {
            Self::Records(number, records) => {
                frame.push(RECORDS);
                frame.extend_from_slice(&number.to_le_bytes());
                frame.extend_from_slice(records);
            }
            said => {
                frame.push(JSON);
                serde_json::to_writer(&mut frame, said)?;
            }
        }
        let length = frame.len() - 4;
        if length > MAX_FRAME {
            return Err(io::Error::other("more than fits into one message"));
        }
        frame[..4].copy_from_slice(&(length as u32).to_le_bytes());
        Ok(frame)
    }

    /// Blocks until one is here.
    pub(super) fn read(stream: &mut impl Read) -> io::Result<Self> {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_FRAME {
            return Err(io::Error::other("a message that is too long"));
        }
        let mut frame = Vec::new();
        stream.take(length as u64).read_to_end(&mut frame)?;
        if frame.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match frame.split_first() {
            Some((&JSON, json)) => Ok(serde_json::from_slice(json)?),
            Some((&RECORDS, rest)) => {
                let (number, records) = rest
                    .split_first_chunk::<8>()
                    .ok_or(io::ErrorKind::UnexpectedEof)?;
                Ok(Self::Records(u64::from_le_bytes(*number), records.to_vec()))
            }
            _ => Err(io::Error::other("a message of an unknown kind")),
        }
    }
}

/// Hands sockets over, and says hello.
pub(super) fn hand_over(stream: &mut UnixStream, sockets: &[Socket], hello: Hello) -> io::Result<()> {
    if sockets.len() > MAX_SOCKETS {
        return Err(io::Error::other(format!("more than {MAX_SOCKETS} sockets")));
    }
    let descriptors: Vec<BorrowedFd<'_>> = sockets.iter().map(|socket| socket.socket.as_fd()).collect();
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("the sockets do not fit into one message"));
    }
    sendmsg(&*stream, &[IoSlice::new(&[0])], &mut control, SendFlags::empty())?;
    stream.write_all(&Said::Hello(Box::new(hello)).frame()?)
}

/// Takes what [`hand_over`] sent.
pub(super) fn take_over(stream: &mut UnixStream) -> io::Result<(Sockets, Hello)> {
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let got = recvmsg(&*stream, &mut [IoSliceMut::new(&mut byte)], &mut control, flags)?;
    if got.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let descriptors: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    let Said::Hello(hello) = Said::read(stream)? else {
        return Err(io::Error::other("no greeting"));
    };
    if descriptors.len() != hello.sockets.len() {
        return Err(io::Error::other("sockets got lost on the way"));
    }
    let handed = descriptors.into_iter().zip(&hello.sockets);
    let handed = handed.map(|(descriptor, (door, address))| Socket {
        door: door.clone(),
        address: *address,
        socket: TcpListener::from(descriptor),
    });
    let sockets = Sockets {
        handed: handed.collect(),
        own: Vec::new(),
    };
    Ok((sockets, *hello))
}

#[cfg(test)]
mod tests;
