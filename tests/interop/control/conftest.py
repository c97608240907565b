# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the control plane's tests: the real program, met by a client that is not ours."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))

from client import Admin, connect  # noqa: E402
from mesh import Mesh  # noqa: E402


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """The logs of everything a failed test started belong to its report."""
    outcome = yield
    report = outcome.get_result()
    mesh = item.funcargs.get("mesh") or item.funcargs.get("shared") if hasattr(item, "funcargs") else None
    if report.failed and mesh is not None:
        report.sections.append(("logs of the mesh", mesh.logs()))


@pytest.fixture
def mesh():
    """Everything that is added to it is ended, and checked for sanitizer reports, after the test."""
    started = Mesh()
    yield started
    started.close()
    started.remove()


@pytest.fixture(scope="module")
def shared():
    """One mesh for all tests of a file."""
    started = Mesh()
    yield started
    started.close()
    started.remove()


@pytest.fixture(scope="module")
def control(shared):
    """A control plane for all tests of a file, with lifted rates."""
    return shared.start_control()


@pytest.fixture(scope="module")
def admin(control):
    with Admin(control) as opened:
        yield opened


@pytest.fixture
def anyone(control):
    """Over TLS, without a certificate."""
    with connect(control) as opened:
        yield opened
