"""When a request is made again, and after which wait."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from .errors import ConnectionError, FerroMcpError, ProtocolError


@dataclass(frozen=True)
class Retry:
    attempts: int = 3
    """Attempts in all, at least 1."""
    base_delay_ms: float = 200
    """First wait; doubles with every attempt."""
    max_delay_ms: float = 10_000
    """Longest wait. If the server asks for a longer one, there is no retry."""

    def __post_init__(self) -> None:
        if not isinstance(self.attempts, int) or self.attempts < 1:
            raise ValueError("attempts: a whole number from 1")
        for name in ("base_delay_ms", "max_delay_ms"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: a number from 0")


_PASSING = frozenset({"rate_limited", "quota_exceeded", "unavailable"})
_WORTH_IT = _PASSING | {"timeout", "upstream_error", "internal"}


def delay_after(error: FerroMcpError, attempt: int, retry: Retry | None, idempotent: bool) -> float | None:
    """How many milliseconds to wait before attempt `attempt + 1`, or None: the error stands."""
    if retry is None or attempt >= retry.attempts:
        return None
    proxy = isinstance(error, ProtocolError) and error.status in (502, 503, 504)
    lost = isinstance(error, ConnectionError)
    if idempotent:
        again = lost or proxy or error.code in _WORTH_IT
    else:
        again = (lost or error.code in _PASSING) and not error.may_have_run
    asked = error.retry_after_ms
    # A batch over the quota's size stays so: what passes with time says when.
    if not again or (error.code == "quota_exceeded" and asked is None):
        return None
    if asked is not None and asked > retry.max_delay_ms:
        return None
    backoff = min(retry.max_delay_ms, retry.base_delay_ms * 2.0 ** min(attempt - 1, 60))
    # Never earlier than asked for; the jitter is on top, so that clients do not come back all at once.
    if asked is not None and asked > 0:
        return asked + random.random() * min(backoff, asked)
    return backoff * (0.5 + random.random() / 2)
