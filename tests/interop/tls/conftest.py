# SPDX-License-Identifier: GPL-3.0-or-later
"""Sidecars and TLS libraries that are not ours, on loopback."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))

from fixtures import authority, mesh, pytest_runtest_makereport  # noqa: E402, F401
