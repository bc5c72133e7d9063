//! `listen.tls`: what is in the files, and what must be there together.

use ferromcp_tls::{Part, ServerTls};

use super::no_effect;
use crate::fields::{Fields, Text};
use crate::model::{Listen, Tls};
use crate::problem::{Problem, Problems};
use crate::source::Span;

pub(super) fn tls(mut fields: Fields, problems: &mut Problems) -> Option<Tls> {
    let asks = fields.span("client_ca").is_some();
    if !asks && let Some(span) = fields.span("client_auth") {
        let why = "clients are not asked for a certificate without `client_ca`";
        problems.push(
            no_effect(span, &fields.path, "client_auth", why).hint("add `client_ca`, or remove the key"),
        );
    }
    let mut path = |key: &str| fields.text(key).and_then(Text::into_path);
    let (cert, key, client_ca) = (path("cert"), path("key"), path("client_ca"));
    let optional = fields.word("client_auth") == Some("optional");
    let tls = Tls {
        cert: cert?,
        key: key?,
        client_ca,
        client_required: asks && !optional,
        tls13_only: fields.word("min_version") == Some("1.3"),
    };
    check(&tls, &fields, problems);
    Some(tls)
}

/// Reads the files as the server will.
fn check(tls: &Tls, fields: &Fields, problems: &mut Problems) {
    let Err(errors) = ServerTls::load(tls.files()) else {
        return;
    };
    for error in errors {
        let key = match error.part {
            Part::Certificate => "cert",
            Part::Key => "key",
            Part::ClientCa => "client_ca",
        };
        let span = fields.span(key).unwrap_or_else(|| fields.span.clone());
        problems.push(
            Problem::new(span, key, error.problem)
                .inside(&fields.path)
                .hint(error.hint),
        );
    }
}

/// A certificate that nobody has to show and that says nothing about anybody.
pub(super) fn fit(listen: &Listen, ca: Option<Span>, has_certificates: bool, problems: &mut Problems) {
    let Some(tls) = &listen.tls else { return };
    if let Some(span) = ca
        && !tls.client_required
        && !has_certificates
    {
        let why = "clients need no certificate, and no tenant has `certificates`";
        problems.push(
            no_effect(span, "listen.tls", "client_ca", why)
                .hint("add `certificates` to a tenant, or write `client_auth: required`"),
        );
    }
}
