"""LIS1-A frames and LIS2-A2 records: bytes to frames, with the readings that each frame completes.

A frame says what it is and which records end in it; what the records say of patient and sample stays in its bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from devicebridge.sdk import Frame, Noise, Observation

from . import contour, results
from .framing import BYTES, Control, Framed, Framer, Line, Token
from .records import Assembler, Record
from .results import Header, Message

_RECORDS = frozenset("HPORCMLQS")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkControl(Frame):
    """ENQ, ACK, NAK or EOT, of either side."""

    control: Control


@dataclass(frozen=True, slots=True, kw_only=True)
class Data(Frame):
    """A frame, or a bare record. raw, which may name a person, is not shown.

    number: of the frame; None for a bare record. records: the types of the records that end in it, "?" for others.
    header: of the last header among them. is_repeat: the frame before it once more; it says nothing new.
    """

    raw: bytes = field(repr=False)
    number: int | None = None
    is_final: bool = True
    is_repeat: bool = False
    records: tuple[str, ...] = ()
    header: Header | None = None


class Codec:
    """A devicebridge Codec. bare: takes records without a data link as well, until a frame or ENQ is met."""

    def __init__(self, *, bare: bool) -> None:
        self._framer = Framer(bare=bare)
        self._assembler = Assembler()
        self._message = Message()
        self._last: tuple[int, bytes, bool] | None = None

    def feed(self, data: bytes, /) -> Sequence[Frame | Noise]:
        return [self._item(token) for token in self._framer.feed(data)]

    def close(self) -> Sequence[Frame | Noise]:
        return [self._item(token) for token in self._framer.close()]

    def _item(self, token: Token) -> Frame | Noise:
        match token:
            case Noise():
                return token
            case Control():
                return self._control(token)
            case Line():
                return self._data(token.raw, [(token.text, True)], None, is_final=True)
            case Framed():
                return self._framed(token)

    def _control(self, control: Control) -> Frame:
        if control in (Control.ENQ, Control.EOT):
            self._assembler.reset()
            self._message, self._last = Message(), None
        return LinkControl(raw=BYTES[control], control=control)

    def _framed(self, frame: Framed) -> Frame:
        said = (frame.number, frame.text, frame.is_final)
        if said == self._last:
            return Data(raw=frame.raw, number=frame.number, is_final=frame.is_final, is_repeat=True)
        if self._last is not None and frame.number != (self._last[0] + 1) % 8:
            self._assembler.lose()
        self._last = said
        texts = self._assembler.add(frame.text, is_final=frame.is_final)
        return self._data(frame.raw, texts, frame.number, is_final=frame.is_final)

    def _data(self, raw: bytes, texts: Iterable[tuple[bytes, bool]], number: int | None, *, is_final: bool) -> Frame:
        group: list[Observation] = []
        types: list[str] = []
        header = None
        for text, is_whole in texts:
            record = results.read(text, self._message, is_whole=is_whole)
            self._message = self._message.after(record)
            types.append(record.type if record.type in _RECORDS else "?")
            if record.type == "H":
                header = self._message.header
            if record.type == "R" and (found := self._result(record)):
                group.append(found)
        return Data(raw=raw, number=number, is_final=is_final, records=tuple(types), header=header, group=tuple(group))

    def _result(self, record: Record) -> Observation | None:
        if contour.is_meters(record, self._message):
            return contour.observation(record, self._message)
        return results.laboratory(record, self._message)
