//! Whose calls share a worker.

use std::sync::Arc;

use ferromcp_core::Principal;

/// Names those whose calls may go to the same worker.
pub(crate) type Key = Arc<str>;

/// Whose calls may share a worker. A server that keeps something of its caller in its process (a login, a working
/// directory, a cart) is one for each tenant or principal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Everybody's.
    #[default]
    All,
    /// Those of one tenant.
    Tenant,
    /// Those of one principal of one tenant.
    Principal,
}

impl Sharing {
    /// Whose call this is; `None` if that makes no difference.
    pub(crate) fn key(self, principal: &Principal) -> Option<Key> {
        match self {
            Self::All => None,
            Self::Tenant => Some(Arc::clone(&principal.tenant)),
            // Ids of tenants have no such character in them, so two pairs never make one key.
            Self::Principal => Some(format!("{}\0{}", principal.tenant, principal.name).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_tenants_or_principals() {
        let [ab, ac, b] = [("a", "b"), ("a", "c"), ("b", "b")].map(|(t, n)| Principal::unrestricted(t, n));
        assert_eq!(Sharing::All.key(&ab), None);
        assert_eq!(Sharing::Tenant.key(&ab), Sharing::Tenant.key(&ac));
        assert_ne!(Sharing::Tenant.key(&ab), Sharing::Tenant.key(&b));
        assert_ne!(Sharing::Principal.key(&ab), Sharing::Principal.key(&ac));
        assert_ne!(Sharing::Principal.key(&ab), Sharing::Principal.key(&b));
        assert_eq!(Sharing::Principal.key(&ab), Sharing::Principal.key(&ab.clone()));
    }
}
