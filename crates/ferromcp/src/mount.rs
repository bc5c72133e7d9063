//! Parts that can be put into a gateway.

use std::sync::Arc;

use ferromcp_core::Gateway;

/// Something that offers tools, resources or prompts under a name of its own: another
/// [`Server`](crate::Server), or a server written with another library.
pub trait Mount: Send {
    /// Publishes it in the gateway.
    fn mount(self: Box<Self>, gateway: &Arc<Gateway>);
}
