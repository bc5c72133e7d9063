//! Commands behind shell operators.

use super::{Subject, run};
use crate::patterns::rules::{COMMAND, PATH, TEXT, URL};

/// Longest command name and argument that are looked at, in bytes.
const WORD_BYTES: usize = 48;

/// Programs that injected commands start with.
fn is_command(word: &[u8]) -> bool {
    let word = match word.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => &word[slash + 1..],
        None => word,
    };
    is_telling(word)
        || matches!(
            word,
            b"cat"
                | b"ps"
                | b"curl"
                | b"wget"
                | b"nc"
                | b"ncat"
                | b"netcat"
                | b"bash"
                | b"sh"
                | b"zsh"
                | b"dash"
                | b"ksh"
                | b"python"
                | b"python2"
                | b"python3"
                | b"perl"
                | b"ruby"
                | b"php"
                | b"node"
                | b"rm"
                | b"mv"
                | b"cp"
                | b"chmod"
                | b"chown"
                | b"touch"
                | b"echo"
                | b"printf"
                | b"ping"
                | b"nslookup"
                | b"dig"
                | b"sleep"
                | b"kill"
                | b"mail"
                | b"tee"
                | b"env"
                | b"export"
                | b"sudo"
                | b"su"
                | b"net"
                | b"powershell"
                | b"cmd"
                | b"cmd.exe"
                | b"certutil"
                | b"mkfifo"
                | b"telnet"
                | b"ssh"
                | b"scp"
                | b"docker"
                | b"kubectl"
                | b"find"
                | b"grep"
                | b"awk"
                | b"sed"
                | b"xargs"
                | b"eval"
                | b"exec"
                | b"head"
                | b"tail"
                | b"dir"
                | b"del"
                | b"type"
                | b"crontab"
                | b"base64"
                | b"socat"
                | b"tftp"
                | b"useradd"
                | b"chroot"
                | b"dd"
                | b"source"
                | b"open"
                | b"calc"
                | b"calc.exe"
        )
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
