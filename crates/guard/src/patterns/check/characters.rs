//! What Unicode hides. These look at the text as it is: normalising removes what they look for.

use super::Subject;
use crate::patterns::normalise::no_width;

fn any_char(subject: &Subject<'_>, mut wanted: impl FnMut(u32) -> bool) -> bool {
    !subject.normal
        && std::str::from_utf8(subject.original).is_ok_and(|text| {
            text.chars()
                .any(|character| !character.is_ascii() && wanted(u32::from(character)))
        })
}

/// Tag characters, except behind a black flag, where they name a region (UTS #51, emoji tag sequences).
pub(in crate::patterns) fn tags(subject: &Subject<'_>) -> bool {
    const LONGEST_REGION: u32 = 6;
    let mut room = 0;
    any_char(subject, |code| match code {
        0x1f3f4 => {
            room = LONGEST_REGION + 1;
            false
        }
        0xe007f if room > 0 => {
            room = 0;
            false
        }
        0xe0000..=0xe007f => {
            let hidden = room <= 1;
            room = u32::saturating_sub(room, 1);
            hidden
        }
        _ => {
            room = 0;
            false
        }
    })
}

/// Three variation selectors in a row; a character takes one.
pub(in crate::patterns) fn selectors(subject: &Subject<'_>) -> bool {
    let Ok(text) = std::str::from_utf8(subject.original) else {
        return false;
    };
    let mut row = 0;
    !subject.normal
        && text.chars().any(|character| {
            row = match u32::from(character) {
                0xfe00..=0xfe0f | 0xe0100..=0xe01ef => row + 1,
                _ => 0,
            };
            row >= 3
        })
}

pub(in crate::patterns) fn bidi_override(subject: &Subject<'_>) -> bool {
    any_char(subject, |code| matches!(code, 0x202d | 0x202e))
}

pub(in crate::patterns) fn bidi(subject: &Subject<'_>) -> bool {
    any_char(subject, |code| matches!(code, 0x202a..=0x202c | 0x2066..=0x2069))
}

/// A character without width between two that are ASCII. Joiners between letters of Arabic or Indic scripts, and in
/// emoji, are how those are written; direction marks are how they are mixed with Latin.
pub(in crate::patterns) fn invisible(subject: &Subject<'_>) -> bool {
    let Ok(text) = std::str::from_utf8(subject.original) else {
        return false;
    };
    let mut before = ' ';
    let mut hidden = false;
    !subject.normal
        && text.chars().any(|character| {
            let code = u32::from(character);
            if no_width(code)
                && !matches!(code, 0x200e | 0x200f | 0x202a..=0x202e | 0x2066..=0x2069 | 0xfe00..)
            {
                hidden = before.is_ascii_alphanumeric();
                return false;
            }
            let found = hidden && character.is_ascii_alphanumeric();
            hidden = false;
            before = character;
            found
        })
}

pub(in crate::patterns) fn confusable(subject: &Subject<'_>) -> bool {
    any_char(subject, |code| {
        matches!(
            code,
            0x2024
                | 0x2025
                | 0x2044
                | 0x2215
                | 0x2216
                | 0x29f5
                | 0x29f8
                | 0x29f9
                | 0xfe52
                | 0xfe68
                | 0xff0e
                | 0xff0f
                | 0xff3c
        )
    })
}

/// A Latin letter of ASCII next to a Cyrillic one.
pub(in crate::patterns) fn mixed(subject: &Subject<'_>) -> bool {
    let Ok(text) = std::str::from_utf8(subject.original) else {
        return false;
    };
    let mut before = (false, false);
    !subject.normal
        && text.chars().any(|character| {
            let now = (
                character.is_ascii_alphabetic(),
                matches!(character, '\u{400}'..='\u{52f}'),
            );
            let found = (now.0 && before.1) || (now.1 && before.0);
            before = now;
            found
        })
}
