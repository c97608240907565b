# SPDX-License-Identifier: GPL-3.0-or-later
"""Behaviour tests: real programs, real files, real sockets on loopback."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from fixtures import authority, mesh, pytest_runtest_makereport  # noqa: E402, F401
