//! Whose certificate it is.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ferromcp_tenancy::{CertificateNames, MAX_NAMES};
use rustls::pki_types::CertificateDer;
use x509_parser::asn1_rs::ToDer as _;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Longest alternative name that is looked at, in bytes; a longer one matches nothing.
const MAX_NAME: usize = 1024;
/// Longest subject that is looked at, in bytes of its text.
const MAX_SUBJECT: usize = 4096;

/// Attribute types that RFC 4514 (section 3) gives short names, and two more that clients' certificates often have. Others
/// are written as numbers.
const TYPES: [(&str, &str); 11] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("2.5.4.5", "serialNumber"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// A certificate that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired;

/// What a client's certificate says, the first of `chain`, if it showed one.
///
/// # Errors
/// It has ended. A full handshake refuses such a certificate, a resumed one does not look.
pub fn client(chain: Option<&[CertificateDer<'_>]>) -> Result<Option<Arc<CertificateNames>>, Expired> {
    let Some(certificate) = chain.and_then(<[_]>::first) else {
        return Ok(None);
    };
    let names = names(certificate);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    match now.as_secs() > names.expires {
        true => Err(Expired),
        false => Ok(Some(Arc::new(names))),
    }
}

/// The names in a certificate that was verified, and when it ends. A certificate that cannot be read has no names and has
/// ended: it is nobody's.
pub fn names(der: &CertificateDer<'_>) -> CertificateNames {
    let mut names = CertificateNames::default();
    let Ok((_, certificate)) = parse_x509_certificate(der) else {
        return names;
    };
    names.expires = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or_default();
    names.subject = Some(subject(certificate.subject()))
        .filter(|subject| subject.len() <= MAX_SUBJECT)
        .unwrap_or_default();
    // Twice the same extension is malformed, and then none of them counts.
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return names;
    };
    for name in &extension.value.general_names {
        let (list, name) = match name {
            GeneralName::DNSName(name) => (&mut names.dns, name),
            GeneralName::URI(name) => (&mut names.uris, name),
            GeneralName::RFC822Name(name) => (&mut names.emails, name),
            _ => continue,
        };
        // One more than is looked at shows that there are too many.
        if list.len() <= MAX_NAMES && name.len() <= MAX_NAME && name.bytes().all(|b| b.is_ascii_graphic()) {
            list.push((*name).to_owned());
        }
    }
    names
}

/// RFC 4514: the last part first.
fn subject(name: &X509Name<'_>) -> String {
    let mut out = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for part in parts.into_iter().rev() {
        if !out.is_empty() {
            out.push(',');
        }
        for (index, attribute) in part.iter().enumerate() {
            if index > 0 {
                out.push('+');
            }
            push(&mut out, attribute);
        }
    }
    out
}

fn push(out: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let oid = attribute.attr_type().to_id_string();
    let short = TYPES.iter().find(|(number, _)| *number == oid);
    out.push_str(short.map_or(&oid, |(_, name)| name));
    out.push('=');
    match attribute.as_str() {
        Ok(text) if short.is_some() => escape(out, text),
        // A type without a name, or a value that is no text: the bytes of its encoding (section 2.4).
        _ => {
            out.push('#');
            let encoded = attribute.attr_value().to_der_vec().unwrap_or_default();
            encoded
                .iter()
                .for_each(|byte| out.push_str(&format!("{byte:02x}")));
        }
    }
}

/// Section 2.4, and control characters as bytes.
fn escape(out: &mut String, text: &str) {
    let last = text.char_indices().last().map_or(0, |(at, _)| at);
    for (at, c) in text.char_indices() {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => out.extend(['\\', c]),
            ' ' if at == 0 || at == last => out.push_str("\\ "),
            '#' if at == 0 => out.push_str("\\#"),
            c if c.is_control() => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    out.push_str(&format!("\\{byte:02x}"));
                }
            }
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests;
