//! `admin`: the API that changes tenants while the server runs.

use super::{field, text, texts};
use crate::spec::Absent::{Value, Words};
use crate::spec::{Kind, Object};
use crate::text::Form;

pub(super) static ADMIN: Object = Object {
    fields: &[
        field(
            "accept_config",
            Kind::Bool,
            Value("false"),
            "Take configurations that are sent to it (`ferromcp plan FILE`, `ferromcp apply FILE`). Whoever holds a key of it can then start \
             programs on this machine as this server, and read what it may read.",
        ),
        field(
            "listen",
            text(Form::Listen),
            Value("127.0.0.1:9090"),
            "Address of the admin API; loopback only. Port 0 lets the system choose.",
        ),
        field(
            "keys",
            texts(&Kind::Text(Form::KeyHash), false, 16),
            Words("required"),
            "Hashes of the keys that open it, as `ferromcp keys new --admin` prints them; ` until TIME` behind one makes it end. \
             Keys of tenants do not open it.",
        ),
        field(
            "store",
            text(Form::Folder),
            Words("required"),
            "Directory in which tenants made through the API are kept, relative to the config file; made if it is not there. \
             One server at a time.",
        ),
    ],
    later: &[],
};
