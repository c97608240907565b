# SPDX-License-Identifier: GPL-3.0-or-later
"""Fault tests: real programs that meet bad input, storms and shortages."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from fixtures import authority, mesh, pytest_runtest_makereport  # noqa: E402, F401
