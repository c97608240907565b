# SPDX-License-Identifier: GPL-3.0-or-later
"""What the structure checks share: the tree's files, C without its comments, and the command line.

A check is a function that takes a Tree and gives a list of findings, each "path:line: what and why".
Every check also carries samples: bad ones that it must find, good ones that it must let pass. Run with
--self-test it proves itself on these; CTest runs both.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

IGNORED_FOLDERS = {".git", ".deps", "build", "__pycache__", ".pytest_cache"}


class Tree:
    """The files of a checkout: what git tracks or would track; without git, what lies there."""

    def __init__(self, root, build=None):
        self.root = pathlib.Path(root).resolve()
        self.build = pathlib.Path(build).resolve() if build else None
        self.paths = sorted(self._from_git() or self._from_disk())

    def _from_git(self):
        if not (self.root / ".git").exists():
            return None
        listed = subprocess.run(
            ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others",
             "--exclude-standard"],
            cwd=self.root, capture_output=True, check=False)
        if listed.returncode != 0:
            return None
        paths = {path for path in listed.stdout.decode().split("\0") if path}
        return [path for path in paths if (self.root / path).is_file()]

    def _from_disk(self):
        for path in self.root.rglob("*"):
            relative = path.relative_to(self.root)
            ignored = any(part in IGNORED_FOLDERS or part.startswith("build-")
                          for part in relative.parts[:-1])
            if path.is_file() and not ignored:
                yield relative.as_posix()

    def text(self, path):
        return (self.root / path).read_text(encoding="utf-8", errors="replace")

    def c_files(self, *folders):
        """C sources and headers, of these folders only if any are named."""
        for path in self.paths:
            if path.endswith((".c", ".h")):
                if not folders or path.split("/")[0] in folders:
                    yield path


_TOKEN = re.compile(
    r'//(?:[^\n\\]|\\.|\\\n)*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'', re.DOTALL)


def without_comments(text, keep_strings=False):
    """Blanks comments, and the content of strings unless they are kept; every line stays a line."""

    def blank(match):
        token = match.group()
        if token[0] in "\"'":
            return token if keep_strings else token[0] + " " * (len(token) - 2) + token[-1]
        return re.sub(r"[^\n]", " ", token)

    return _TOKEN.sub(blank, text)


def includes(text):
    """(line, name, is_foreign) of each #include."""
    for number, line in enumerate(without_comments(text, keep_strings=True).splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', line)
        if match:
            yield number, match.group(1) or match.group(2), match.group(2) is not None


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def _write_sample(folder, files):
    for path, content in files.items():
        target = pathlib.Path(folder) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")


def _self_test(check, bad, good):
    mistakes = []
    for files, expected in bad:
        with tempfile.TemporaryDirectory() as folder:
            _write_sample(folder, files)
            findings = check(Tree(folder, pathlib.Path(folder) / "build"))
        if not any(expected in finding for finding in findings):
            mistakes.append(f"not found: {expected!r} in {sorted(files)}; found {findings}")
    for files in good:
        with tempfile.TemporaryDirectory() as folder:
            _write_sample(folder, files)
            findings = check(Tree(folder, pathlib.Path(folder) / "build"))
        if findings:
            mistakes.append(f"a good sample is refused: {findings}")
    print(f"{len(bad)} bad samples, {len(good)} good ones, {len(mistakes)} judged wrongly")
    return mistakes


def main(check, bad, good):
    """bad: (files, text that a finding must hold); good: files. files: {path: content}."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--build", help="the build folder, for checks that need it")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        findings = _self_test(check, bad, good)
    else:
        tree = Tree(arguments.root, arguments.build)
        findings = check(tree)
        print(f"{len(tree.paths)} files, {len(findings)} findings")
    for finding in findings:
        print(finding)
    sys.exit(1 if findings else 0)
