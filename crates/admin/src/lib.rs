//! The admin API: tenants are made, changed and looked at while the server runs.
//!
//! Owns: the HTTP listener of its own with its credential, the store in which tenants made here live, the
//! order of a change (checked, durable, in force, answered), the record of every change, and the OpenAPI
//! description. Must not know: configuration files (what a tenant may be is asked of [`Rules`]), the doors of callers.
//!
//! A change is answered after it is on disk and in force. Tenants of the configuration file are shown and
//! never changed.
//!
//! Start reading at [`Tenants`] (`tenants.rs`), then `route.rs`: it names the endpoints.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod credential;
mod look;
mod openapi;
mod refusal;
mod reload;
mod route;
mod rules;
mod serve;
mod store;
mod tenant_api;
mod tenants;

pub use credential::AdminKey;
pub use openapi::generated;
pub use reload::{MAX_WATCH, NotReloaded, Reload, Reloading, Wanted, Watch};
pub use route::{Admin, AdminSettings};
pub use rules::{FileTenant, Issue, Others, Rules, TenantParts};
pub use serve::serve;
pub use store::StoreError;
pub use tenants::{MAX_TENANTS, Tenants, TenantsError};
