"""Programs start as where they are installed: from bytecode, which a checkout that is being edited may lack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def compiled(folder: Path) -> Iterator[None]:
    """Children of this process keep bytecode, in that folder; from their second start on they have it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(folder / "bytecode"))
        yield
