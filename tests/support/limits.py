# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidecar's limits as it prints them itself: tests repeat no number."""
import subprocess

from mesh import SIDECAR


def read():
    """{name: value} of `remora-sidecar --limits`."""
    printed = subprocess.run([SIDECAR, "--limits"], check=True, capture_output=True, text=True).stdout
    return {name: int(value) for name, value, *_ in (line.split() for line in printed.splitlines())}
