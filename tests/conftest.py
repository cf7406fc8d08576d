"""Shared by all tests. With CI=true a skipped test is a failure: a missing component must not pass for a good one."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not take for an answer: {report.longrepr}"
    return report


settings.register_profile(
    "devicebridge",
    deadline=None,
    derandomize=True,  # the same examples in every run; tests/bench and the fuzzers explore
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("devicebridge")
