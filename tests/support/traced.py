"""An outlet that also keeps the samples."""

from __future__ import annotations

from devicebridge.sdk import Wave

from .asked import Kept


class Traced(Kept):
    """waves: as they came."""

    def __init__(self) -> None:
        super().__init__()
        self.waves: list[Wave] = []

    def wave(self, wave: Wave, /) -> None:
        self.waves.append(wave)

    @property
    def places(self) -> list[tuple[int, int, bool]]:
        """Of each wave its first index, its length, and whether a gap of unknown length is before it."""
        return [(wave.first_index, len(wave.rows), wave.after_unknown_gap) for wave in self.waves]
