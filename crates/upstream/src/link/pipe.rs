//! What carries the messages of a connection that all requests share: a child's pipes, or an event stream with its
//! address for messages. Both carry whole messages in both directions, so one link serves both.

use std::sync::Arc;

use bytes::Bytes;
use ferromcp_protocol::lines::LineError;

use crate::fault::Fault;
use crate::transport::events::{EventIncoming, EventTransport, Heard};
use crate::transport::stdio::{End, Incoming, StdioIncoming, StdioTransport};

/// The sending half.
#[derive(Debug)]
pub(super) enum Pipe {
    Child(Box<StdioTransport>),
    Events(Box<EventTransport>),
}

/// The receiving half.
#[derive(Debug)]
pub(super) enum PipeIncoming {
    Child(Box<StdioIncoming>),
    Events(Box<EventIncoming>),
}

/// What comes.
#[derive(Debug)]
pub(super) enum Item {
    Message(Bytes),
    Refused(LineError),
    /// Nothing more will come; why.
    End(Arc<str>),
}

impl Pipe {
    pub(super) async fn send(&self, message: Bytes) -> Result<(), Fault> {
        match self {
            Self::Child(child) => child.send(message).await.map_err(|error| Fault::Gone {
                why: error.to_string().into(),
                sent: false,
            }),
            Self::Events(events) => events.send(message).await.map_err(Fault::Transport),
        }
    }

    pub(super) fn pid(&self) -> Option<u32> {
        match self {
            Self::Child(child) => Some(child.pid()),
            Self::Events(_) => None,
        }
    }

    pub(super) async fn kill(&self) {
        match self {
            Self::Child(child) => {
                child.kill().await;
            }
            Self::Events(events) => events.close(),
        }
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Child(child) => {
                child.close().await;
            }
            Self::Events(events) => events.close(),
        }
    }

    pub(super) fn begin_close(&self) {
        match self {
            Self::Child(child) => child.begin_close(),
            Self::Events(events) => events.close(),
        }
    }
}

impl PipeIncoming {
    /// The next item. Cancel-safe.
    pub(super) async fn next(&mut self, name: &str) -> Item {
        match self {
            Self::Child(child) => match child.next().await {
                Incoming::Message(line) => Item::Message(line),
                Incoming::Refused(error) => Item::Refused(error),
                Incoming::End(End::Exited(exit)) => Item::End(exit.to_string().into()),
                Incoming::End(End::InputClosed) => Item::End(
                    format!("server `{name}` closed its standard input and can no longer be asked").into(),
                ),
                Incoming::End(End::OutputClosed) => Item::End(
                    format!("server `{name}` closed its standard output and can no longer answer").into(),
                ),
            },
            Self::Events(events) => match events.next().await {
                Heard::Message(data) => Item::Message(data),
                Heard::TooLarge(limit) => Item::Refused(LineError::TooLong {
                    limit,
                    head: Bytes::new(),
                }),
                Heard::NotUtf8 => Item::Refused(LineError::NotUtf8 {
                    line: Bytes::new(),
                    valid_up_to: 0,
                }),
                Heard::End(why) => Item::End(format!("server `{name}`: {why}").into()),
            },
        }
    }
}
