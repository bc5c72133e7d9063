//! Workers that callers do not share: who gets one, and who has to give one up.

use std::time::Duration;

use ferromcp_supervisor::worker::Event;
use tracing::debug;

use super::Driver;
use crate::sharing::Sharing;

impl Driver {
    pub(super) fn is_keyed(&self) -> bool {
        self.upstream.pool.size.per != Sharing::All
    }

    /// Calls wait whose callers have no worker: each gets one, if need be in place of the one that was idle for longest.
    pub(super) fn feed(&mut self) {
        let max = self.upstream.pool.size.max;
        // Places that are about to be free. Whoever waits asks again then.
        let mut leaving = self.members.iter().filter(|member| member.leaving).count();
        for key in self.upstream.pool.take_hungry() {
            let mut staying = self.members.iter().filter(|member| !member.leaving);
            if staying.any(|member| member.seat.key.as_ref() == Some(&key)) {
                continue;
            }
            if self.members.len() < max {
                self.add(Some(key));
            } else if leaving > 0 {
                leaving -= 1;
            } else {
                self.evict();
            }
        }
    }

    /// Ends the worker that has been idle for longest, if one is.
    fn evict(&mut self) {
        let members = self.members.iter().enumerate();
        let mut idle: Vec<_> = members
            .filter(|(_, member)| !member.leaving && member.may_idle(true))
            .filter_map(|(at, member)| Some((member.seat.idle_at(Duration::ZERO)?, at)))
            .collect();
        idle.sort_unstable();
        for (_, at) in idle {
            let member = &mut self.members[at];
            // It may have got a call meanwhile.
            if !member.seat.close() {
                continue;
            }
            member.leaving = true;
            member.reason = "another caller's worker takes its place".into();
            let (server, worker) = (&self.upstream.spec.name, member.seat.id);
            debug!(target: "ferromcp::server", %server, worker, "idle for longest; ending it for another caller's");
            return self.handle(at, Event::Stop);
        }
    }
}
