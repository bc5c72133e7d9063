//! A flag that ends one running request from outside.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

/// Set once; wakes the request that waits on it.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    set: AtomicBool,
    waker: AtomicWaker,
}

impl Stop {
    /// Ends the request.
    pub(crate) fn set(&self) {
        self.set.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Ready once [`Self::set`] was called. One task may wait at a time.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.set.load(Ordering::Acquire) {
            self.waker.register(cx.waker());
            // It may have been set between the look and the registration.
            if !self.set.load(Ordering::Acquire) {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }
}
