from __future__ import annotations

import pytest

from ferromcp import SseEvent, SseParser
from ferromcp import sse

TEXT = "\ufeff: comment\r\nevent: a\rdata: one\ndata:two\r\n\r\nid: 7\ndata: día 日本\n\ndata\n\nevent: lost\n\nretry: 5\ndata:  x\n\ndata: cut".encode()
WANTED = [SseEvent("a", "one\ntwo"), SseEvent("message", "día 日本", "7"), SseEvent("message", "", "7"), SseEvent("message", " x", "7")]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_events_come_out_however_they_are_cut(size: int) -> None:
    parser = SseParser()
    pieces = [TEXT[start : start + size] for start in range(0, len(TEXT), size)]
    assert [event for piece in pieces for event in parser.push(piece)] == WANTED


def test_every_cut_in_two() -> None:
    for cut in range(len(TEXT) + 1):
        parser = SseParser()
        assert parser.push(TEXT[:cut]) + parser.push(TEXT[cut:]) == WANTED, cut


def test_other_separators_do_not_end_a_line() -> None:
    assert SseParser().push("data: a\u2028b\x0bc\x85d\n\n".encode()) == [SseEvent("message", "a\u2028b\x0bc\x85d")]


def test_an_id_with_a_null_is_overlooked() -> None:
    assert SseParser().push(b"id: a\0\ndata: x\n\n") == [SseEvent("message", "x")]


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert SseParser().push(b"data: \xff\n\n") == [SseEvent("message", "\ufffd")]


def test_an_event_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LONGEST", 100)
    parser = SseParser()
    for _ in range(10):
        parser.push(b"data: 1234\n\n")
    parser.push(b"data: ")
    with pytest.raises(ValueError, match="longer"):
        for _ in range(11):
            parser.push(b"1234567890")
