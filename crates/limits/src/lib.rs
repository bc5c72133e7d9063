//! Rate limits and quotas: decides whether one more call may pass, and when it may if not now.
//!
//! **Owns** rates (GCRA with a burst), the bounded table of clients, quotas over sliding windows, permits for concurrent
//! calls, their carry-over across a reload or restart, and the rule ids of all of them.
//! **Must not know** configuration files, serialisation, an async runtime, or what time it is: every decision takes the
//! time ([`Nanos`]) from its caller.
//!
//! Start reading at [`Limits::admit`]: it is what happens to one call. Below it stand `gcra` (one rate),
//! `keyed` (many clients in bounded memory), `spread` (one rate that all cores share), `window` (one quota) and
//! `tenant` (all of one tenant).
//!
//! What never happens, however threads and clocks interleave: a limit lets more through than it says, memory grows with
//! the number of clients, or a refused call uses up what others could have used.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod gcra;
mod keyed;
mod limits;
mod nanos;
mod parse;
mod rate;
mod spread;
mod state;
mod tenant;
mod verdict;
mod window;

pub use gcra::{Gcra, Reading};
pub use keyed::{ClientKey, Clients, MAX_CLIENTS, MIN_CLIENTS};
pub use limits::{Admitted, LimitSettings, Limits, Request, ToolLimit};
pub use nanos::{MAX_BACKSTEP, Nanos};
pub use parse::{ParseError, parse_bytes_per, parse_calls_per};
pub use rate::{MAX_PERIOD, MIN_INTERVAL, MIN_PERIOD, Rate, RateError};
pub use state::{RateState, SavedState, TenantState, WindowState};
pub use tenant::{Permit, Quotas, RateUsage, TenantLimits, TenantSettings, Usage, WindowUsage};
pub use verdict::{Limit, Refused, Rule, Standing};
pub use window::{MAX_WINDOW, MIN_WINDOW, Quota, QuotaError, SLOTS};
