//! Shells. In the command of a shell tool, pipes and substitutions are the purpose; there only what no sound command holds
//! is refused.

use super::CONTENT;
use super::{
    CODE, COMMAND, DATA, EVERYWHERE, HEADER, KEY, NAME, PATH, QUERY, Rule, SHELL, SQL, TEXT, Test, URL,
};
use crate::patterns::look::{
    AMP, BACKSLASH, COLON, DASH, DOLLAR, DOT, GT, LINE, PAREN, PIPE, SEMI, SLASH, SPACE, TICK, TILDE,
};
use crate::patterns::{Class, Severity, check};

/// Values that a careless tool pastes into a command line.
const PASTED: u16 = PATH | COMMAND | NAME | QUERY | HEADER | KEY;

pub(super) static RULES: &[Rule] = &[
    Rule {
        id: "pattern.shell.chain",
        class: Class::Shell,
        severity: Severity::Critical,
        catches: "A shell operator (; | & or a line break) followed by a command.",
        block: PASTED | URL,
        flag: TEXT,
        any: SEMI | PIPE | AMP | LINE,
        also: u32::MAX,
        literals: &[],
        test: Test::Check(check::chain),
    },
    Rule {
        id: "pattern.shell.substitution",
        class: Class::Shell,
        severity: Severity::Critical,
        catches: "A command substitution, $(...) or backticks.",
        block: PASTED | URL,
        flag: TEXT,
        any: TICK | DOLLAR,
        also: TICK | PAREN,
        literals: &[],
        test: Test::Check(check::substitution),
    },
    Rule {
        id: "pattern.shell.ifs",
        class: Class::Shell,
        severity: Severity::High,
        catches: "$IFS in place of white space, which serves to get past filters.",
        block: PASTED | URL | TEXT,
        flag: SHELL,
        any: DOLLAR,
        also: DOLLAR,
        literals: &["$ifs", "{ifs"],
        test: Test::Regex(r"\$(?:\{ifs[^}]{0,16}\}|ifs(?:\$\d|\b))"),
    },
    Rule {
        id: "pattern.shell.reverse",
        class: Class::Shell,
        severity: Severity::Critical,
        catches: "A shell that is handed to another host over a socket.",
        block: EVERYWHERE & !(CONTENT | DATA | SQL),
        flag: CONTENT | DATA,
        any: SLASH | DASH | PAREN,
        also: SPACE | SLASH | PAREN | DOT,
        literals: &[
            "/dev/", "nc -", "ncat", "netcat", "/bin", " -e ", " -c ", "--ex", "bash", "sock", "socat",
            "mkfifo",
        ],
        test: Test::Regex(
            r"/dev/(?:tcp|udp)/[\w.$-]+/|\b(?:nc|ncat|netcat)\b[^\n|;]*\s(?:-[a-z]*[ec]\s|--exec\s|/bin/(?:ba)?sh)|\bbash\s+-i\b[^\n]*>&|\bsocket\.socket\([^\n]*\.connect\(\(|\bmkfifo\s[^\n]*\b(?:nc|telnet)\b|\buse\s+socket\s*;[^\n]*exec|\bsockets\.tcpclient\b|\bsocat\s[^\n]*exec:|\bfsockopen\s*\([^\n]*(?:exec|proc_open)",
        ),
    },
    Rule {
        id: "pattern.shell.destroy",
        class: Class::Shell,
        severity: Severity::Critical,
        catches: "A command that destroys the machine: removes / or the home, overwrites disks, forks without end.",
        block: EVERYWHERE & !(CONTENT | DATA | SQL | TEXT),
        flag: TEXT,
        any: SLASH | COLON | TILDE | DASH | GT,
        also: SPACE | COLON | PAREN | DOLLAR,
        literals: &["rm -", "mkfs", "/dev/", "of=/", ":(){", ": ()", "chmod"],
        test: Test::Regex(
            r"\brm\s+(?:-[\w=-]+\s+)*-(?:[a-z]*r[a-z]*f|[a-z]*f[a-z]*r)[a-z]*\s+(?:-[\w=-]+\s+)*(?:/|~|\$home|/\*|~/\*?)\s*(?:$|[;&|]|-|\*)|:\s*\(\)\s*\{\s*:\s*\|\s*:|\bmkfs(?:\.\w+)?\s+[^\n]*/dev/|\bdd\s[^\n]*\bof=/dev/(?:sd|nvme|hd|vd|xvd|mmcblk)|>\s*/dev/(?:sd[a-z]|nvme)|\bchmod\s+-r\s+[0-7]{3,4}\s+/(?:\s|$)",
        ),
    },
    Rule {
        id: "pattern.shell.persist",
        class: Class::Shell,
        severity: Severity::Critical,
        catches: "A write to the keys, accounts or schedules of a machine.",
        block: EVERYWHERE & !(CONTENT | DATA | SQL | TEXT),
        flag: TEXT,
        any: GT | PIPE,
        also: SLASH | DOT,
        literals: &["authorized_keys", "etc/"],
        test: Test::Regex(
            r"(?:>>?|\btee\s+(?:-a\s+)?)\s*['\x22]?(?:\S*/)?(?:authorized_keys\b|etc/(?:passwd|shadow|sudoers|cron|ld\.so\.preload|profile\.d))",
        ),
    },
    Rule {
        id: "pattern.shell.download",
        class: Class::Shell,
        severity: Severity::High,
        catches: "A download or decoded text that is run at once.",
        block: PASTED | URL,
        flag: SHELL | TEXT,
        any: PIPE | PAREN,
        also: SPACE | PAREN,
        literals: &["curl", "wget", "base64", "iex(", "iex ", "invoke-e"],
        test: Test::Regex(
            r"\b(?:curl|wget|base64)\b[^\n]*\|\s*(?:sudo\s+)?(?:ba|z|da|k)?sh\b|\b(?:iex|invoke-expression)\s*\(",
        ),
    },
    Rule {
        id: "pattern.shell.option",
        class: Class::Shell,
        severity: Severity::High,
        catches: "A command option that runs a program or leaves a sandbox, in place of a value.",
        block: PATH | COMMAND | NAME | URL | QUERY,
        flag: 0,
        any: DASH | COLON,
        also: DASH | COLON,
        literals: &[
            "--up", "--re", "--us", "--to", "--ch", "--pr", "--ex", "prox", "ext:", " -v ",
        ],
        test: Test::Regex(
            r"--(?:upload-pack|receive-pack|use-askpass|to-command|checkpoint-action|privileged)\b|-o\s?proxycommand|^\s*ext::|\s-v\s+/:|--exec=",
        ),
    },
    Rule {
        id: "pattern.shell.metachar",
        class: Class::Shell,
        severity: Severity::Low,
        catches: "A shell operator in the arguments of a command, without a known command behind it.",
        block: 0,
        flag: COMMAND,
        any: SEMI | PIPE | TICK | DOLLAR | GT | BACKSLASH,
        also: u32::MAX,
        literals: &[],
        test: Test::Regex(r"[;|`]|\$[({]|&&|>\s*/"),
    },
];

const _: () = assert!(PASTED & CODE == 0);
