#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""clang-format would change nothing."""

import pathlib
import re
import shutil
import subprocess

from structure import main

STYLE = pathlib.Path(__file__).resolve().parents[2] / ".clang-format"


def check(tree):
    program = shutil.which("clang-format")
    if program is None:
        return ["clang-format is not installed: run deploy/install-deps.sh"]
    paths = list(tree.c_files())
    if not paths:
        return []
    ran = subprocess.run([program, f"--style=file:{STYLE}", "--dry-run", "-Werror", *paths],
                         cwd=tree.root, capture_output=True, text=True, check=False)
    findings = sorted(set(re.findall(r"^\S+?:\d+(?=:\d+: error)", ran.stderr, re.MULTILINE)))
    findings = [f"{finding}: clang-format -i would change it" for finding in findings]
    if ran.returncode != 0 and not findings:
        findings.append(ran.stderr.strip())
    return findings


BAD = [
    ({"a.c": "int f( void ){ return 0; }\n"}, "a.c:1: clang-format -i would change it"),
    ({"a/b.h": "struct s {\n  int a; // x\n};\n"}, "a/b.h:1: clang-format"),
]
GOOD = [{"a.c": "int f(void)\n{\n    return 0;\n}\n"}]

if __name__ == "__main__":
    main(check, BAD, GOOD)
