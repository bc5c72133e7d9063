//! `listen.tls`.

use super::{field, text, word};
use crate::spec::Absent::{Required, Value, Words};
use crate::spec::{Kind, Object};
use crate::text::Form;

pub(super) static TLS: Object = Object {
    fields: &[
        field(
            "cert",
            text(Form::File),
            Required,
            "The server's certificate and then those that signed it, in PEM format.",
        ),
        field(
            "key",
            text(Form::File),
            Required,
            "Its private key in PEM format (PKCS#8, PKCS#1 or SEC1), not encrypted.",
        ),
        field(
            "client_ca",
            text(Form::File),
            Words("clients are not asked for a certificate"),
            "Certificates of the authorities that sign client certificates, in PEM format.",
        ),
        field(
            "client_auth",
            Kind::Choice(&[word("optional"), word("required")]),
            Value("required"),
            "Whether a client without a certificate may connect; it then needs a key or token. Needs `client_ca`.",
        ),
        field(
            "min_version",
            Kind::Choice(&[word("1.2"), word("1.3")]),
            Value("1.2"),
            "Oldest version of TLS that is spoken.",
        ),
    ],
    later: &[],
};
