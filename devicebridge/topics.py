"""Every topic this program publishes to. Segments are opaque ids; none ever holds a patient identifier."""

from __future__ import annotations

from dataclasses import dataclass

from .sdk.values import Kind

ROOT = "devicebridge/v1"


@dataclass(frozen=True, slots=True)
class Topics:
    site: str
    room: str

    @property
    def room_status(self) -> str:
        return f"{ROOT}/{self.site}/{self.room}/status"

    def device_status(self, device: str) -> str:
        return f"{ROOT}/{self.site}/{self.room}/{device}/status"

    def reading(self, device: str, kind: Kind) -> str:
        return f"{ROOT}/{self.site}/{self.room}/{device}/reading/{kind}"

    def wave(self, device: str) -> str:
        return f"{ROOT}/{self.site}/{self.room}/{device}/wave"

    def quarantine(self, device: str) -> str:
        return f"{ROOT}/{self.site}/{self.room}/{device}/quarantine"
