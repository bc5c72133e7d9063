"""The builder of batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .types import BatchRequest


def reference(id: str, pointer: str | None = None) -> dict[str, str]:
    """Stands for the output of another call of the batch, or the part at `pointer` (RFC 6901)."""
    if pointer is None:
        return {"$result": id}
    if pointer != "" and not pointer.startswith("/"):
        raise ValueError(f'a JSON Pointer is empty or begins with "/": {pointer}')
    return {"$result": id, "pointer": pointer}


@dataclass(frozen=True)
class BatchHandle:
    """A call that was added; `ref` makes its output an argument of another."""

    id: str

    def ref(self, pointer: str | None = None) -> dict[str, str]:
        return reference(self.id, pointer)


class Batch:
    """Collects calls and names them. Give it to `batch_call`."""

    def __init__(self) -> None:
        self.requests: list[BatchRequest] = []
        self._ids: set[str] = set()

    def add(self, tool: str, arguments: Any = None, *, id: str | None = None, timeout_ms: int | None = None) -> BatchHandle:
        if id is None:
            number = len(self.requests) + 1
            while f"call-{number}" in self._ids:
                number += 1
            id = f"call-{number}"
        elif id in self._ids:
            raise ValueError(f"two calls of the batch have the id {id}")
        self._ids.add(id)
        self.requests.append(BatchRequest(tool, arguments, id, timeout_ms))
        return BatchHandle(id)
