//! Bodies: what is read from a client, within bounds of size and time, and what is sent.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::header::{EXPECT, HeaderMap};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use crate::serve::Busy;

/// The whole body may take this many times the time that it may stand still.
const TOTAL_FACTOR: u32 = 10;
/// A client that sent too much is listened to for this much longer, so that it reads the answer.
const DRAIN_BYTES: usize = 8 << 20;
/// The same as time.
const DRAIN_TIME: Duration = Duration::from_secs(2);
/// Space that is set aside on a client's word about the length.
const FIRST_RESERVE: usize = 64 << 10;

/// Why a request body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// More than the limit.
    TooLarge,
    /// It stopped growing for this long.
    TooSlow(Duration),
    /// The client stopped in the middle, or broke the transfer coding.
    Broken,
}

/// Reads a whole body. A body that arrives in one piece is not copied.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Incoming,
    max: usize,
    idle: Duration,
) -> Result<Bytes, BodyError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut reader = Reader {
        body,
        idle,
        end: None,
        timer: None,
    };
    if announced > max {
        // A client that asks first has sent nothing yet, and must not be told to go on.
        return if headers.contains_key(EXPECT) {
            Err(BodyError::TooLarge)
        } else {
            Err(reader.refuse().await)
        };
    }
    let Some(first) = reader.next().await? else {
        return Ok(Bytes::new());
    };
    if first.len() > max {
        return Err(reader.refuse().await);
    }
    if reader.body.is_end_stream() {
        return Ok(first);
    }
    let Some(second) = reader.next().await? else {
        return Ok(first);
    };
    let mut whole = BytesMut::with_capacity(announced.min(FIRST_RESERVE).max(first.len() + second.len()));
    whole.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(part) = next {
        if whole.len() + part.len() > max {
            return Err(reader.refuse().await);
        }
        whole.extend_from_slice(&part);
        next = if reader.body.is_end_stream() {
            None
        } else {
            reader.next().await?
        };
    }
    Ok(whole.freeze())
}

struct Reader {
    body: Incoming,
    idle: Duration,
    /// When the body must be there, set when it was first waited for.
    end: Option<Instant>,
    /// Only a body that is not there yet costs a timer.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let Self {
            body,
            idle,
            end,
            timer,
        } = self;
        let mut armed = false;
        poll_fn(|cx| {
            loop {
                match Pin::new(&mut *body).poll_frame(cx) {
                    Poll::Ready(None) => return Poll::Ready(Ok(None)),
                    Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(BodyError::Broken)),
                    Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                        Ok(data) => return Poll::Ready(Ok(Some(data))),
                        // Trailers carry nothing for us.
                        Err(_) => continue,
                    },
                    Poll::Pending => {}
                }
                let now = Instant::now();
                let last = *end.get_or_insert_with(|| now + *idle * TOTAL_FACTOR);
                let timer = timer.get_or_insert_with(|| Box::pin(sleep(*idle)));
                if !armed {
                    armed = true;
                    timer.as_mut().reset((now + *idle).min(last));
                }
                return timer.as_mut().poll(cx).map(|()| Err(BodyError::TooSlow(*idle)));
            }
        })
        .await
    }

    /// Takes in some more of a body that is too large: closing with unread data resets the
    /// connection, and the client would never see why.
    async fn refuse(&mut self) -> BodyError {
        let mut drained = 0;
        let drain = async {
            while let Ok(Some(part)) = self.next().await {
                drained += part.len();
                if drained > DRAIN_BYTES {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(DRAIN_TIME, pin!(drain)).await;
        BodyError::TooLarge
    }
}

/// A stream of pieces of an answer.
pub(crate) type Pieces = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// The body of an answer.
pub(crate) struct Body {
    content: Content,
    /// Keeps the connection marked as busy until the body is sent.
    _busy: Option<Busy>,
}

enum Content {
    Whole(Bytes),
    Pieces(Pieces),
}

impl Body {
    pub(crate) const fn empty() -> Self {
        Self {
            content: Content::Whole(Bytes::new()),
            _busy: None,
        }
    }

    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self {
            content: Content::Whole(bytes.into()),
            _busy: None,
        }
    }

    pub(crate) fn pieces(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self {
            content: Content::Pieces(Box::pin(pieces)),
            _busy: None,
        }
    }

    pub(crate) fn hold(&mut self, busy: Busy) {
        self._busy = Some(busy);
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.content {
            Content::Whole(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Content::Pieces(_) => f.write_str("Body(stream)"),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.content {
            Content::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::Pieces(pieces) => pieces
                .as_mut()
                .poll_next(cx)
                .map(|piece| piece.map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.content, Content::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Pieces(_) => SizeHint::default(),
        }
    }
}
