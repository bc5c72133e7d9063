use rcgen::string::Ia5String;
use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use rustls::pki_types::CertificateDer;

use super::names;

fn made(change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().clone()
}

#[test]
fn names_of_every_kind_are_found() {
    let text = |text: &str| Ia5String::try_from(text).unwrap();
    let found = names(&made(|params| {
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Company A");
        params.distinguished_name.push(DnType::CommonName, "client");
        params.subject_alt_names = vec![
            SanType::DnsName(text("a.example")),
            SanType::URI(text("spiffe://example/a")),
            SanType::Rfc822Name(text("me@a.example")),
            SanType::DnsName(text(&"x".repeat(1025))),
            SanType::DnsName(text("a.example\0.evil")),
            SanType::DnsName(text("with space")),
        ];
    }));
    assert_eq!(found.subject, "CN=client,O=Company A");
    assert_eq!(found.dns, ["a.example"]);
    assert_eq!(found.uris, ["spiffe://example/a"]);
    assert_eq!(found.emails, ["me@a.example"]);
    assert!(found.expires > 0);
}

#[test]
fn no_value_of_a_subject_can_pretend_to_be_two() {
    let subject = |value: &str| {
        names(&made(|params| {
            params.distinguished_name.push(DnType::CommonName, value);
        }))
        .subject
    };
    for (value, written) in [
        ("a,O=b", "CN=a\\,O=b"),
        ("a+b;c<d>e\"f\\g", "CN=a\\+b\\;c\\<d\\>e\\\"f\\\\g"),
        (" a ", "CN=\\ a\\ "),
        ("#a", "CN=\\#a"),
        ("a\nb\0", "CN=a\\0ab\\00"),
        ("Größe", "CN=Größe"),
    ] {
        assert_eq!(subject(value), written);
    }
    assert_eq!(subject(&"x".repeat(5000)), "");
    let other = names(&made(|params| {
        params
            .distinguished_name
            .push(DnType::CustomDnType(vec![1, 2, 3, 4]), "x");
    }));
    assert_eq!(other.subject, "1.2.3.4=#0c0178");
}

#[test]
fn what_is_no_certificate_is_nobodys() {
    let whole = made(|_| ());
    for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
        let found = names(&CertificateDer::from(whole[..cut].to_vec()));
        assert_eq!(found, ferromcp_tenancy::CertificateNames::default());
    }
}
