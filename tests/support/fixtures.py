# SPDX-License-Identifier: GPL-3.0-or-later
"""What pytest's folders of real programs share; their conftest.py take everything from here."""
import pytest

from ca import Authority
from mesh import Mesh


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
