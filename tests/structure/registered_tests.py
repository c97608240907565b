#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every test that lies in the tree is run, as CTest's own files tell.

In tests/unit each .c is compiled, and each that has a main() is the program of a registered test. Each
pytest file (tests/**/test_*.py) is named by a registered test, or lies in a folder that is.
"""

import json
import pathlib
import re

from structure import main, without_comments

MAIN = re.compile(r"^int main\(", re.MULTILINE)
ADD_TEST = re.compile(r"^add_test\((?:\[=*\[.*?\]=*\]|\S+) (.*)\)$", re.MULTILINE)
WORD = re.compile(r'"((?:[^"\\]|\\.)*)"')
TARGET = re.compile(r"CMakeFiles/([^/]+)\.dir/")


def registered(tree):
    """Every word of every registered command, with the folder it is relative to. Read from CTest's own
    files: `ctest --show-only` leaves out the commands that are not built yet."""
    for path in sorted(tree.build.rglob("CTestTestfile.cmake")):
        for arguments in ADD_TEST.findall(path.read_text()):
            for word in WORD.findall(arguments):
                yield word, str(path.parent)


def compiled(tree):
    """{path: {target}} of the tree's C files."""
    targets = {}
    for entry in json.loads((tree.build / "compile_commands.json").read_text()):
        path = pathlib.Path(tree.build, entry["directory"], entry["file"]).resolve()
        match = TARGET.search(entry.get("output", "") or entry.get("command", ""))
        if match and path.is_relative_to(tree.root):
            targets.setdefault(path.relative_to(tree.root).as_posix(), set()).add(match.group(1))
    return targets


def check_unit_tests(tree, words, findings):
    programs = {pathlib.PurePath(word).name for word, _ in words}
    targets = compiled(tree)
    for path in tree.c_files("tests"):
        if not path.startswith("tests/unit/") or not path.endswith(".c"):
            continue
        built = targets.get(path, set())
        if not built:
            findings.append(f"{path}:1: is not compiled: name it in its folder's CMakeLists.txt")
        elif MAIN.search(without_comments(tree.text(path))) and not built & programs:
            findings.append(f"{path}:1: no registered test runs it")


def check_pytests(tree, words, findings):
    named = set()
    for word, folder in words:
        path = pathlib.Path(folder, word.split("::")[0])
        if "/" in word or word.endswith(".py"):
            named.add(path.resolve())
    for path in tree.paths:
        if path.startswith("tests/") and re.match(r"test_.*\.py$", path.split("/")[-1]):
            full = tree.root / path
            if not any(candidate in named for candidate in (full, *full.parents)):
                findings.append(f"{path}:1: no registered test runs it")


def check(tree):
    findings = []
    if tree.build is None:
        return ["--build is missing"]
    # The tree's own root is no folder of tests.
    words = [(word, folder) for word, folder in registered(tree)
             if pathlib.Path(folder, word).resolve() not in (tree.root, *tree.root.parents)]
    check_unit_tests(tree, words, findings)
    check_pytests(tree, words, findings)
    return findings


def sample(command, target, files):
    """A tree whose one compiled file is tests/unit/a/a.c."""
    compile_commands = [{"directory": ".", "file": "../tests/unit/a/a.c",
                         "output": f"tests/unit/a/CMakeFiles/{target}.dir/a.c.o"}]
    words = " ".join(f'"{word}"' for word in command)
    return {"build/compile_commands.json": json.dumps(compile_commands),
            "build/CTestTestfile.cmake": f"add_test([=[unit.a.a]=] {words})\n", **files}


PROGRAM = "int main(void)\n{\n}\n"
BAD = [
    (sample(["/b/unit_a_a"], "unit_a_a", {"tests/unit/a/a.c": PROGRAM, "tests/unit/a/b.c": PROGRAM}),
     "tests/unit/a/b.c:1: is not compiled"),
    (sample(["/b/other"], "unit_a_a", {"tests/unit/a/a.c": PROGRAM}),
     "tests/unit/a/a.c:1: no registered test runs it"),
    (sample(["/b/unit_a_a"], "unit_a_a", {"tests/unit/a/a.c": PROGRAM,
                                          "tests/behavior/test_x.py": ""}),
     "tests/behavior/test_x.py:1: no registered test runs it"),
    (sample(["pytest", "../tests/behavior/test_y.py"], "unit_a_a", {"tests/behavior/test_x.py": ""}),
     "tests/behavior/test_x.py:1: no registered test runs it"),
]
GOOD = [
    sample(["/b/unit_a_a", "../tests/behavior"], "unit_a_a",
           {"tests/unit/a/a.c": PROGRAM, "tests/behavior/deep/test_x.py": ""}),
    sample(["pytest", "../tests/behavior/test_x.py::one"], "fixture",
           {"tests/unit/a/a.c": "int helper(void)\n{\n}\n", "tests/behavior/test_x.py": ""}),
]

if __name__ == "__main__":
    main(check, BAD, GOOD)
