//! `resources/subscribe` and `resources/unsubscribe` (legacy server/resources).

use ferromcp_protocol::RpcError;

use crate::answer::Answer;
use crate::cx::Cx;

pub(super) fn on(cx: &Cx<'_, '_>) -> Answer {
    let uri = match cx.required_str("uri") {
        Ok(uri) => uri,
        Err(answer) => return answer,
    };
    let Some(session) = cx.session else {
        return cx.result(b"");
    };
    let view = match cx.endpoint.gateway.view(cx.incoming.credential) {
        Ok(view) => view,
        Err(error) => return Answer::turned_away(Some(cx.id), &error),
    };
    if view.resource_source(&uri).is_none() {
        let shown: String = uri.chars().take(200).collect();
        let error = RpcError::new(
            cx.version.resource_not_found_code(),
            format!("Resource not found: {shown}"),
        );
        return cx.error(&error);
    }
    let max = cx.endpoint.settings.max_watches;
    if !session.watch(&uri, max, || cx.endpoint.gateway.watch(&uri)) {
        return cx.invalid(format!(
            "{max} resources are subscribed to, which is the limit of a session"
        ));
    }
    cx.result(b"")
}

pub(super) fn off(cx: &Cx<'_, '_>) -> Answer {
    let uri = match cx.required_str("uri") {
        Ok(uri) => uri,
        Err(answer) => return answer,
    };
    // Ending what never began is no error: the client has what it wants.
    if let Some(session) = cx.session {
        session.unwatch(&uri);
    }
    cx.result(b"")
}
