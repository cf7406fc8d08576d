"""The conformance suite as pytest runs it: pytest --pyargs devicebridge.testing.suite [-k DRIVER]"""

from __future__ import annotations

import pytest

from .conformance import Case, cases


@pytest.mark.parametrize("case", cases(), ids=str)
def test_conformance(case: Case) -> None:
    case.run()
