"""The list of promises: it has each id, and each id tests that are there and bear it."""

from __future__ import annotations

import ast
import functools
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from devicebridge.testing.conformance import cases

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROMISES: dict[str, dict[str, Any]] = tomllib.loads((HERE / "promises.toml").read_text())
IDS = [f"F{number:02}" for number in range(1, 60)]
CONFORMANCE = "devicebridge/testing/conformance.py"


@functools.cache
def functions(file: str) -> dict[str, str]:
    """Name and docstring of each."""
    tree = ast.parse((ROOT / file).read_text())
    found = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {node.name: ast.get_docstring(node) or "" for node in found}


def bears(id_: str, words: str) -> bool:
    return re.search(rf"(?<![a-z0-9]){id_}(?![a-z0-9])", words.replace("_", " "), re.IGNORECASE) is not None


def test_no_promise_is_missing_and_none_is_strange() -> None:
    assert list(PROMISES) == IDS


@pytest.mark.parametrize("id_", IDS)
def test_each_promise_has_tests_that_are_there_and_bear_its_id(id_: str) -> None:
    row = PROMISES[id_]
    assert row.keys() <= {"promise", "beyond", "tests"}
    assert row["promise"].endswith(".")
    own = [test for test in row["tests"] if not test.startswith(CONFORMANCE)]
    assert own, f"nothing proves {id_}"
    for test in row["tests"]:
        file, _, name = test.partition("::")
        assert name in functions(file), f"{test} is not there"
        assert test not in own or bears(id_, f"{name} {functions(file)[name]}"), f"{test} does not bear {id_}"


def test_the_checks_of_the_conformance_suite_run() -> None:
    run = {getattr(case.run, "func", case.run) for case in cases()}
    names = {function.__name__ for function in run}
    listed = {t.partition("::")[2] for row in PROMISES.values() for t in row["tests"] if t.startswith(CONFORMANCE)}
    assert listed <= names


def test_a_test_that_bears_an_id_bears_that_of_a_promise() -> None:
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for name in functions(str(file.relative_to(ROOT))):
            if name.startswith("test_"):
                strange = {found.upper() for found in re.findall(r"_(f\d\d)(?=_)", name)} - set(IDS)
                assert not strange, f"{file.name}: {name}"
