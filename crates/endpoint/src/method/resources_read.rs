//! `resources/read` (server/resources).

use ferromcp_core::Operation;

use super::call::{Wanted, run as call};
use crate::answer::Answer;
use crate::cx::Cx;
use crate::render::Hints;

pub(super) async fn run(cx: &Cx<'_, '_>) -> Answer {
    let uri = match cx.required_str("uri") {
        Ok(uri) => uri,
        Err(answer) => return answer,
    };
    let caching = &cx.endpoint.settings.caching;
    let hints = Some(Hints {
        ttl_ms: caching.read_ttl_ms,
        public: caching.public,
    });
    call(
        cx,
        Wanted {
            operation: Operation::ReadResource,
            name: &uri,
            arguments: None,
            hints,
        },
    )
    .await
}
