//! `audit`: what is recorded, and where.

use super::{DAY, HOUR, KIB, MIB, MINUTE, SECOND, TIB, duration, field, text, texts, word};
use crate::spec::Absent::{Group, Required, Value, Words};
use crate::spec::{Kind, Object};
use crate::text::{Form, KeyForm};

pub(super) static AUDIT: Object = Object {
    fields: &[
        field(
            "file",
            text(Form::Folder),
            Words("none: no durable log"),
            "Directory of the durable log, relative to the config file; made if it is not there.",
        ),
        field(
            "on_full",
            Kind::Choice(&[word("block"), word("drop")]),
            Value("block"),
            "When records come faster than they are written: `block` makes calls wait, `drop` loses records and counts them. \
             Needs `file`.",
        ),
        field(
            "on_error",
            Kind::Choice(&[word("refuse"), word("continue")]),
            Value("refuse"),
            "When records cannot be written, as on a full disk: `refuse` calls, or `continue` without records. Needs `file`.",
        ),
        field(
            "arguments",
            Kind::Choice(&[word("hash"), word("store")]),
            Value("hash"),
            "What a record holds of a call's arguments: their hash, or themselves as well.",
        ),
        field(
            "redact",
            texts(&Kind::Text(Form::Line { max: 128 }), true, 256),
            Value("[password, token, secret, authorization, api_key]"),
            "Names of members whose values are left out of stored arguments, in upper or lower case, at any depth.",
        ),
        field(
            "max_arguments",
            Kind::Size {
                min: 64,
                max: 256 * KIB,
            },
            Value("16KiB"),
            "Most bytes of arguments stored with a record. Needs `arguments: store`.",
        ),
        field(
            "sign_key",
            text(Form::KeyFile),
            Words("a key in the directory, made at the first start"),
            "Private key that signs checkpoints: a file that exists, relative to the config file, or `${file:PATH}` for its \
             content. Needs `file`.",
        ),
        field(
            "rotate",
            Kind::Object(&ROTATE),
            Group,
            "When a new segment (one file of the log) is begun. Needs `file`.",
        ),
        field(
            "keep",
            Kind::Object(&KEEP),
            Group,
            "How many closed segments are kept; the oldest are deleted first. Needs `file`.",
        ),
        field(
            "commit_delay",
            duration(0, 10 * SECOND),
            Value("20ms"),
            "Longest wait of a record for others that are written to disk with it. Needs `file`.",
        ),
        field(
            "journal",
            Kind::Bool,
            Value("false"),
            "Before a call of a tool that is marked neither read-only nor idempotent, write durably that it begins. After a crash, the next start records which calls may have run (kind `interrupted`). Such a call waits for the disk once. Needs `file`, and `on_full: block`.",
        ),
        field(
            "otlp",
            Kind::Object(&OTLP),
            Group,
            "Also send every record to an OpenTelemetry collector, as a log record over OTLP/HTTP.",
        ),
        field(
            "ring",
            Kind::Count {
                min: 0,
                max: 1_000_000,
            },
            Words("10000 with `admin`, else 0"),
            "Records of the recent past that are kept in memory for the admin API; also without `file`. Needs `admin`.",
        ),
        field(
            "stdout",
            Kind::Bool,
            Value("false"),
            "Also write every record to stdout as a JSON line. Not with `--mode stdio`, where stdout is MCP's.",
        ),
    ],
    later: &[],
};

static OTLP: Object = Object {
    fields: &[
        field(
            "endpoint",
            text(Form::Url),
            Required,
            "URL of the collector's logs endpoint, such as `http://localhost:4318/v1/logs`; used as it is.",
        ),
        field(
            "headers",
            Kind::Table {
                key: KeyForm::Header,
                item: &Kind::Text(Form::HeaderValue),
                max: 128,
            },
            Value("{}"),
            "HTTP headers sent with every request.",
        ),
        field(
            "interval",
            duration(10, MINUTE),
            Value("1s"),
            "How long records are gathered for one request.",
        ),
        field(
            "timeout",
            duration(100, MINUTE),
            Value("10s"),
            "Longest wait for the answer to a request. When the server ends, all that is left has 5 s.",
        ),
        field(
            "queue",
            Kind::Size {
                min: 64 * KIB,
                max: 1024 * MIB,
            },
            Value("8MiB"),
            "Most bytes of records that wait for the collector. Further ones are not sent, counted and told; calls never wait.",
        ),
    ],
    later: &[],
};

static ROTATE: Object = Object {
    fields: &[
        field(
            "size",
            Kind::Size {
                min: 64 * KIB,
                max: 16 * 1024 * MIB,
            },
            Value("64MiB"),
            "Size at which a segment is closed.",
        ),
        field(
            "age",
            duration(MINUTE, 365 * DAY),
            Value("24h"),
            "Age at which a segment is closed.",
        ),
    ],
    later: &[],
};

static KEEP: Object = Object {
    fields: &[
        field(
            "files",
            Kind::Count {
                min: 1,
                max: 1_000_000,
            },
            Words("all"),
            "Most segments.",
        ),
        field(
            "age",
            duration(HOUR, 3650 * DAY),
            Words("for ever"),
            "Greatest age of a segment.",
        ),
        field(
            "size",
            Kind::Size {
                min: 64 * KIB,
                max: 1024 * TIB,
            },
            Words("no bound"),
            "Most bytes of all segments; at least `rotate.size`.",
        ),
    ],
    later: &[],
};
