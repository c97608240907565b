# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the behaviour tests: real programs, real files, real sockets on loopback."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from ca import Authority  # noqa: E402
from mesh import Mesh  # noqa: E402


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """The logs of everything a failed test started belong to its report."""
    outcome = yield
    report = outcome.get_result()
    mesh = item.funcargs.get("mesh") if hasattr(item, "funcargs") else None
    if report.failed and mesh is not None:
        report.sections.append(("logs of the mesh", mesh.logs()))


@pytest.fixture
def mesh():
    """Everything that is added to it is ended, and checked for sanitizer reports, after the test."""
    started = Mesh()
    yield started
    started.close()
    started.remove()


@pytest.fixture(scope="session")
def authority():
    return Authority()
