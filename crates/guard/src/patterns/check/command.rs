//! Commands behind shell operators.

use super::{Subject, run};
use crate::patterns::rules::{COMMAND, PATH, TEXT, URL};

/// Longest command name and argument that are looked at, in bytes.
const WORD_BYTES: usize = 48;

/// Programs that injected commands start with, beside those that make sense alone. Sorted.
const COMMANDS: [&[u8]; 69] = [
    b"awk",
    b"base64",
    b"calc",
    b"calc.exe",
    b"cat",
    b"certutil",
    b"chmod",
    b"chown",
    b"chroot",
    b"cmd",
    b"cmd.exe",
    b"cp",
    b"crontab",
    b"curl",
    b"dash",
    b"dd",
    b"del",
    b"dig",
    b"dir",
    b"docker",
    b"echo",
    b"eval",
    b"exec",
    b"export",
    b"find",
    b"grep",
    b"head",
    b"kill",
    b"ksh",
    b"kubectl",
    b"mail",
    b"mkfifo",
    b"mv",
    b"nc",
    b"ncat",
    b"net",
    b"netcat",
    b"node",
    b"nslookup",
    b"open",
    b"perl",
    b"php",
    b"ping",
    b"powershell",
    b"printf",
    b"ps",
    b"python",
    b"python2",
    b"python3",
    b"rm",
    b"ruby",
    b"scp",
    b"sed",
    b"sleep",
    b"socat",
    b"source",
    b"ssh",
    b"su",
    b"sudo",
    b"tail",
    b"tee",
    b"telnet",
    b"tftp",
    b"touch",
    b"type",
    b"useradd",
    b"wget",
    b"xargs",
    b"zsh",
];

fn is_command(word: &[u8]) -> bool {
    let word = match word.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => &word[slash + 1..],
        None => word,
    };
    is_telling(word) || COMMANDS.binary_search(&word).is_ok()
}

/// Those that make sense alone.
fn is_telling(word: &[u8]) -> bool {
    matches!(
        word,
        b"id"
            | b"whoami"
            | b"uname"
            | b"ls"
            | b"pwd"
            | b"hostname"
            | b"ifconfig"
            | b"ipconfig"
            | b"reboot"
            | b"halt"
            | b"sh"
            | b"bash"
            | b"env"
            | b"printenv"
            | b"shutdown"
            | b"poweroff"
    )
}

/// An operator of shells, then a command with an argument that looks like one, or one that makes sense alone.
pub(in crate::patterns) fn chain(subject: &Subject<'_>) -> bool {
    let text = subject.text;
    let url = subject.is_one_of(URL);
    // Prose has lines.
    let lines = !subject.is_one_of(TEXT);
    let mut pos = 0;
    while let Some(at) = next_operator(text, pos, lines) {
        let start = at;
        pos = run(text, start, usize::MAX, is_operator);
        // In addresses, single ampersands and semicolons part parameters.
        let separator = url && pos - start == 1 && matches!(text[start], b'&' | b';');
        pos = run(text, pos, usize::MAX, |byte| {
            matches!(byte, b' ' | b'\t' | b'\'' | b'"')
        });
        let end = run(text, pos, WORD_BYTES, |byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_')
        });
        if is_command(&text[pos..end]) && runs(text, pos, end, separator) {
            return true;
        }
        pos = end;
    }
    false
}

fn next_operator(text: &[u8], pos: usize, lines: bool) -> Option<usize> {
    let rest = text.get(pos..)?;
    let at = if lines {
        // Values of one line are short: no need for speed.
        rest.iter().position(|byte| is_operator(*byte))
    } else {
        memchr::memchr3(b';', b'|', b'&', rest)
    };
    at.map(|at| pos + at)
}

fn is_operator(byte: u8) -> bool {
    matches!(byte, b';' | b'|' | b'&' | b'\n')
}

/// Whether the command at `start..end` is followed by what a command is followed by.
fn runs(text: &[u8], start: usize, end: usize, separator: bool) -> bool {
    let word = &text[start..end];
    match text.get(end) {
        None => !separator && (is_telling(word) || word.contains(&b'/')),
        Some(b';' | b'|' | b'&' | b'`' | b'\'' | b'"' | b')' | b'\n') => {
            !separator && (is_telling(word) || word.contains(&b'/'))
        }
        Some(b'$' | b'<' | b'>') => true,
        Some(b' ' | b'\t') => {
            let argument = run(text, end, WORD_BYTES, |byte| matches!(byte, b' ' | b'\t'));
            let rest = text.get(argument..).unwrap_or_default();
            let argument = &rest[..rest.len().min(WORD_BYTES)];
            let stop = argument
                .iter()
                .position(|byte| *byte == b' ')
                .unwrap_or(argument.len());
            let first = &argument[..stop];
            if word == b"net" {
                return first == b"user" || first == b"localgroup";
            }
            first.iter().any(|byte| {
                matches!(
                    byte,
                    b'-' | b'/' | b'~' | b'$' | b':' | b'@' | b'<' | b'>' | b'"' | b'\'' | b'.' | b'`' | b'*'
                )
            }) || first.first().is_some_and(u8::is_ascii_digit)
                || (is_telling(word) && first.is_empty())
        }
        Some(_) => false,
    }
}

/// `$(command ...)` or `` `command ...` ``; in paths, addresses and arguments any `$(`.
pub(in crate::patterns) fn substitution(subject: &Subject<'_>) -> bool {
    let text = subject.text;
    let strict = subject.is_one_of(PATH | COMMAND | URL);
    let mut pos = 0;
    while let Some(at) = text.get(pos..).and_then(|rest| memchr::memchr2(b'$', b'`', rest)) {
        pos += at + 1;
        let dollar = text[pos - 1] == b'$';
        if dollar {
            if text.get(pos) != Some(&b'(') {
                continue;
            }
            pos += 1;
        }
        pos = run(text, pos, usize::MAX, |byte| byte == b' ');
        let end = run(text, pos, WORD_BYTES, |byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_')
        });
        let word = &text[pos..end];
        if is_command(word) || (dollar && strict && !word.is_empty()) {
            return true;
        }
        pos = end;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{COMMANDS, is_command};

    #[test]
    fn commands_are_sorted() {
        assert!(COMMANDS.is_sorted());
        assert!(is_command(b"/usr/bin/curl") && is_command(b"id") && !is_command(b"curling"));
    }
}
