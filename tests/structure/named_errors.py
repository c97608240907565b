#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each name in the table of errors is provoked by a test that says it, or stands in UNPROVOKED with the reason why
none can. A test says a name as a string of its own or as its enumerator; the table's own tests do not count."""

import re

from structure import main, without_comments

TABLE = "common/faults/catalogue.def"
ENTRY = re.compile(r'^FAULT\((\w+), "(\w+)"', re.MULTILINE)

UNPROVOKED = {
    "ok": "no error",
    "no_descriptors": "the reserve keeps descriptors back, so that a dial finds one",
    "endpoint_malformed": "the configuration is refused first; the second lock on a door",
    "alpn_ignored": "said by `remora diagnose`, whose tests do not bring it about yet",
}


def said_in_tests(tree):
    """Every word of the tests that could be a name."""
    words = set()
    for path in tree.paths:
        if not path.startswith("tests/") or path.startswith(("tests/structure/", "tests/unit/faults/")):
            continue
        if path.endswith((".c", ".h")):
            text = without_comments(tree.text(path), keep_strings=True)
            words.update(name.lower() for name in re.findall(r"\b(?:FAULT|VERDICT_REASON)_([A-Z_]+)\b", text))
        elif path.endswith(".py"):
            text = tree.text(path)
        else:
            continue
        # "chain_too_long (many)" is a case of its name.
        words.update(re.findall(r'"(\w+)(?: \([^"]*\))?"', text))
    return words


def check(tree):
    findings = []
    said = said_in_tests(tree)
    names = {name for _, name in ENTRY.findall(tree.text(TABLE))} if TABLE in tree.paths else set()
    for name in sorted(names):
        if name not in said and name not in UNPROVOKED:
            findings.append(f"{TABLE}:1: no test provokes {name}")
        elif name in said and name in UNPROVOKED and name != "ok":
            findings.append(f"{__file__}:1: {name} is provoked: take it out of UNPROVOKED")
    if names:
        findings += [f"{__file__}:1: {name} is no name of the table" for name in UNPROVOKED if name not in names]
    return findings


ROWS = "".join(f'FAULT({name.upper()}, "{name}", GROUP, "a", "b", "c")\n' for name in UNPROVOKED)
BAD = [
    ({TABLE: ROWS + 'FAULT(NEWS, "news", GROUP, "a", "b", "c")\n', "tests/behavior/test_x.py": "news"},
     "no test provokes news"),
    ({TABLE: ROWS + 'FAULT(NEWS, "news", GROUP, "a", "b", "c")\n', "tests/unit/a/a.c": '// "news"\n'},
     "no test provokes news"),
    ({TABLE: ROWS, "tests/behavior/test_x.py": 'result = "no_descriptors"\n'}, "no_descriptors is provoked"),
    ({TABLE: 'FAULT(OK, "ok", GROUP, "a", "b", "c")\n'}, "no_descriptors is no name of the table"),
]
GOOD = [
    {TABLE: ROWS + 'FAULT(NEWS, "news", GROUP, "a", "b", "c")\n', "tests/behavior/test_x.py": 'error="news"\n'},
    {TABLE: ROWS + 'FAULT(NEWS, "news", GROUP, "a", "b", "c")\n', "tests/unit/a/a.c": "x = FAULT_NEWS;\n"},
]

if __name__ == "__main__":
    main(check, BAD, GOOD)
