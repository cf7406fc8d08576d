"""The live trace: chunks of a quarter second at QoS 0. Lossy by declaration; each chunk says what came before it."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal

from ..sdk.wave import Row, Wave

SCHEMA = "devicebridge/wave/1"
CHUNK_S = Decimal("0.25")


class Live:
    """One stream's chunks.

    stream: one numbering of chunks and samples. send: nobody waits for it.
    """

    def __init__(self, device: str, stream: str, send: Callable[[bytes], None], *, simulated: bool) -> None:
        self._head = {"schema": SCHEMA, "device": device, "stream": stream, "simulated": simulated}
        self._send = send
        self._sequence = 0
        self._held: list[Row] = []
        self._of: Wave | None = None

    def take(self, wave: Wave) -> None:
        held = self._of
        if held is not None and (
            held.format != wave.format
            or held.leads_off != wave.leads_off
            or wave.after_unknown_gap
            or wave.first_index != held.first_index + len(self._held)
        ):
            self.flush()
        if self._of is None:
            self._of = wave
        self._held += wave.rows
        if len(self._held) >= wave.format.rate_hz * CHUNK_S:
            self.flush()

    def flush(self) -> None:
        if self._of is None or not self._held:
            return
        self._send(self._message(self._of))
        self._sequence += 1
        self._of, self._held = None, []

    def _message(self, wave: Wave) -> bytes:
        format_ = wave.format
        message = self._head | {
            "sequence": self._sequence,
            "first_index": wave.first_index,
            "after_unknown_gap": wave.after_unknown_gap,
            "rate_hz": _number(format_.rate_hz),
            "factor": _number(format_.scale),
            "origin": _number(format_.offset),
            "unit": format_.unit,
            "lower_limit": format_.lowest,
            "upper_limit": format_.highest,
            "filters": format_.filters,
            "leads": format_.leads,
            "leads_off": sorted(wave.leads_off),
            "data": list(zip(*self._held, strict=True)),
        }
        return json.dumps(message, separators=(",", ":")).encode()


def _number(value: Decimal) -> int | float:
    """Rates and scales of converters have few digits: a float holds them."""
    return int(value) if value == value.to_integral_value() else float(value)
