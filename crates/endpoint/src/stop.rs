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

    /// True once [`Self::set`] was called.
    pub(crate) fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }

    /// Ready once [`Self::set`] was called. One task may wait at a time.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.is_set() {
            self.waker.register(cx.waker());
            // It may have been set between the look and the registration.
            if !self.is_set() {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }
}
