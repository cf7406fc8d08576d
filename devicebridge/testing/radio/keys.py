"""The keys of a simulated adapter, in a file where they must outlive the process, as an operating system's do."""

from __future__ import annotations

import json
import os
from pathlib import Path

from bumble.keys import MemoryKeyStore, PairingKeys


class KeptKeys(MemoryKeyStore):
    """file: None keeps them in memory only. What another process wrote there is known after `refresh`."""

    def __init__(self, file: Path | None = None) -> None:
        super().__init__()
        self._file = file

    def refresh(self) -> None:
        """Raises OSError, ValueError where the file is none of ours."""
        if self._file is not None and self._file.exists():
            found = json.loads(self._file.read_text(encoding="utf-8"))
            self.all_keys = {name: PairingKeys.from_dict(keys) for name, keys in found.items()}

    async def update(self, name: str, keys: PairingKeys) -> None:
        self.refresh()
        await super().update(name, keys)
        self._save()

    async def delete(self, name: str) -> None:
        self.refresh()
        await super().delete(name)
        self._save()

    def _save(self) -> None:
        if self._file is None:
            return
        partial = self._file.with_name(f"{self._file.name}.new")
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            json.dump({name: keys.to_dict() for name, keys in self.all_keys.items()}, stream)
        partial.replace(self._file)
