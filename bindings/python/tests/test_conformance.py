"""The table of tests/conformance through the package's own interface; its README says what driver and runner do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import enclave
import pytest
from conftest import ROOT
from enclave import Status, _enclave

sys.path.insert(0, str(ROOT / "tests" / "conformance"))

import conformance_runner
import driver

CASES = driver.read_table()
COMMAND = [sys.executable, str(Path(__file__).with_name("conformance_runner.py"))]


def variants() -> list[Any]:
    """Every case with threads, and each that runs something with processes too."""
    found = []
    for case in CASES:
        once = {"settings", "constants", "pool_error"} & case.keys() or "isolation" in case.get("pool", {})
        for isolation in ("thread",) if once else ("thread", "process"):
            found.append(pytest.param(isolation, case, id=f"{isolation}: {case['name']}"))
    return found


RUNNERS = {isolation: driver.Runner(COMMAND, isolation) for isolation in ("thread", "process")}


@pytest.fixture(scope="module", autouse=True)
def runners_end_well() -> Iterator[None]:
    # They are there before the first test, which may leave nothing behind; their own leaks they look for themselves.
    for runner in RUNNERS.values():
        runner.start()
    yield
    for runner in RUNNERS.values():
        runner.close()


@pytest.mark.parametrize(("isolation", "case"), variants())
def test_case(isolation: str, case: dict[str, Any]) -> None:
    reason = RUNNERS[isolation].check(case)
    if reason is not None:
        pytest.skip(reason)


def test_every_status_that_a_case_can_bring_about_has_one() -> None:
    driver.check_every_status_has_a_case(CASES)


def test_what_is_typed_is_what_the_core_has() -> None:
    constants = {case["table"]: case["constants"] for case in CASES if "constants" in case}
    assert dict(_enclave.STATUSES) == constants["status"] == {status.name: int(status) for status in Status}
    assert set(_enclave.RECYCLE_REASONS) == set(enclave._stats.RecycleReason.__args__)
    assert len(constants["value_kind"]) == 13
    names = dict.fromkeys(constants["setting"], 0)
    assert set(conformance_runner.settings_of(names)) <= set(_enclave.setting_names())
