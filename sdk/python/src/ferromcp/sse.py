"""Server-sent events (HTML standard), from bytes cut anywhere."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

_END = re.compile(r"\r\n|\r|\n")

LONGEST = 64 * 1024 * 1024
"""Longest event, in characters; a server that never ends one must not fill the memory."""


@dataclass(frozen=True)
class SseEvent:
    event: str
    data: str
    id: str | None = None


class SseParser:
    """An event without its blank line is not one."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._pieces: list[str] = []
        self._after_cr = False
        self._data: list[str] = []
        self._event = ""
        self._id: str | None = None
        self._held = 0

    def push(self, data: bytes) -> list[SseEvent]:
        text = self._decoder.decode(data)
        if not text:
            return []
        # CR LF is one end of a line, also when cut in between.
        if self._after_cr and text[0] == "\n":
            text = text[1:]
        self._after_cr = text.endswith("\r")
        events: list[SseEvent] = []
        start = 0
        for end in _END.finditer(text):
            self._pieces.append(text[start : end.start()])
            start = end.end()
            line = "".join(self._pieces)
            self._pieces.clear()
            self._line(line, events)
        self._pieces.append(text[start:])
        self._held = len(text) - start if events else self._held + len(text)
        if self._held > LONGEST:
            raise ValueError("an event of the stream is longer than 64 MiB")
        return events

    def _line(self, line: str, events: list[SseEvent]) -> None:
        if line == "":
            if self._data:
                events.append(SseEvent(self._event or "message", "\n".join(self._data), self._id))
            self._data = []
            self._event = ""
            return
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._event = value
        elif field == "id" and "\0" not in value:
            self._id = value
