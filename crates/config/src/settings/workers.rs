//! How many workers a server has, what they may use, and what its tools change.

use super::{DAY, GIB, HOUR, MIB, SECOND, duration, field, word};
use crate::spec::Absent::{Value, Words};
use crate::spec::{Field, Kind, Object};
use crate::text::KeyForm;

pub(super) static POOL: Object = Object {
    fields: &[
        field(
            "min",
            Kind::Count { min: 1, max: 64 },
            Value("1"),
            "Workers that are kept running, also without calls: child processes, or sessions with `url`.",
        ),
        field(
            "max",
            Kind::Count { min: 1, max: 256 },
            Words("`min`; with `per` 16"),
            "Most workers. A call that finds all of them busy starts one more, up to here; beyond, calls share the least \
             busy one. At least `min`. With `per`, the one that lists counts, and beyond it a caller gets the place of the \
             one that has not called for longest, or waits while all have calls.",
        ),
        field(
            "idle",
            duration(SECOND, 7 * DAY),
            Value("5m"),
            "A worker beyond `min` that had no call for this long is ended.",
        ),
        field(
            "per",
            Kind::Choice(&[word("tenant"), word("principal")]),
            Words("everybody shares them"),
            "For servers that keep something of their caller: each tenant, or each principal of a tenant, has a worker of its own, \
             started at its first call and never used for another caller's. One more worker lists tools and takes no calls.",
        ),
    ],
    later: &[],
};

pub(super) static RESOURCES: Object = Object {
    fields: &[
        field(
            "memory",
            Kind::Size {
                min: MIB,
                max: 1024 * GIB,
            },
            Words("no limit"),
            "Memory that each process of the server may write to (heap, stacks, anonymous mappings); address space that is \
             only reserved does not count. An allocation beyond it fails.",
        ),
        field(
            "cpu_time",
            duration(SECOND, 365 * DAY),
            Words("no limit"),
            "Processor time that each process of the server may use in its life, in whole seconds; then it is ended, and \
             started again.",
        ),
        field(
            "open_files",
            Kind::Count {
                min: 16,
                max: 1_000_000,
            },
            Words("that of FerroMCP"),
            "Files, pipes and sockets that each process of the server may have open.",
        ),
        field(
            "processes",
            Kind::Count {
                min: 1,
                max: 1_000_000,
            },
            Words("that of FerroMCP"),
            "Processes and threads of FerroMCP's user, all programs together, beyond which the server cannot start more. \
             The kernel does not enforce it for root.",
        ),
    ],
    later: &[],
};

pub(super) const EFFECTS: Field = field(
    "effects",
    Kind::Table {
        key: KeyForm::Tool,
        item: &Kind::Choice(&[word("read_only"), word("idempotent"), word("effects")]),
        max: 10_000,
    },
    Words("what the tool's annotations say"),
    "What tools change, by their own names, where their annotations do not say it or are wrong. If its worker dies, a call of a \
     `read_only` or `idempotent` tool is made once more on another one; one with `effects` never is.",
);

pub(super) const MAX_WORKERS: Field = field(
    "max_workers",
    Kind::Count { min: 1, max: 10_000 },
    Value("100"),
    "Most child processes of all servers together. `pool.min` of all servers with `command` must fit.",
);

pub(super) const HEARTBEAT: Field = field(
    "heartbeat",
    duration(0, HOUR),
    Value("5s"),
    "A worker that was silent and without a call for this long is asked for a sign of life; after two questions without an answer it \
     is restarted. At least 100ms; 0s turns it off.",
);
