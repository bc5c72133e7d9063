//! The cause of a failed exchange as one line, with advice where the cause is known.

use std::error::Error;
use std::io;

use rustls::CertificateError;

/// Joins the chain of causes, each once, and adds what to do about common ones.
pub(crate) fn explain(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut advice = None;
    let mut next = Some(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        // Wrappers often repeat what they wrap.
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        advice = advice.or_else(|| advise(cause));
        next = inner(cause);
    }
    // The outermost message of hyper ("client error (Connect)") says nothing that the caller does not say better.
    if parts.len() > 1 {
        parts.remove(0);
    }
    let mut out = parts.join(": ");
    if let Some(advice) = advice {
        out.push_str("; ");
        out.push_str(advice);
    }
    out
}

/// The cause of a cause. An `io::Error` that wraps another error names the cause of *that* as its source, so the wrapped
/// one has to be asked for.
fn inner<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => cause.source(),
    }
}

fn advise(cause: &(dyn Error + 'static)) -> Option<&'static str> {
    if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        return advise_tls(error);
    }
    match cause.downcast_ref::<io::Error>()?.kind() {
        io::ErrorKind::ConnectionRefused => {
            Some("nothing listens there: is the server running, and is the port right?")
        }
        io::ErrorKind::TimedOut => {
            Some("the host does not answer: check the address, the network and firewalls")
        }
        _ => None,
    }
}

fn advise_tls(error: &rustls::Error) -> Option<&'static str> {
    let rustls::Error::InvalidCertificate(certificate) = error else {
        return match error {
            rustls::Error::InvalidMessage(_) => {
                Some("what listens there does not speak TLS: is it `http://`?")
            }
            rustls::Error::AlertReceived(_) => Some("the server refused the TLS handshake"),
            _ => None,
        };
    };
    Some(match certificate {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the certificate is not from an authority this system trusts: name a file with that authority's \
             certificate in the server's `tls.ca`, or in the environment variable SSL_CERT_FILE"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired (or this machine's clock is wrong)"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet (or this machine's clock is wrong)"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate is for another host name: use the name it was issued for in `url`"
        }
        _ => "the server's certificate cannot be accepted",
    })
}
