#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes, the licence line, #pragma once, braces, and no leftovers."""

import re

from structure import line_of, main, without_comments

MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 80
LICENSED = (".c", ".h", ".py", ".sh", ".cmake", ".proto", "CMakeLists.txt")
LEFTOVERS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def without_directives(text):
    """Blanks preprocessor lines with their continuations: macros may hold half a brace."""
    return re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", lambda m: re.sub(r"[^\n]", " ", m.group()), text,
                  flags=re.MULTILINE)


def functions(text):
    """(line, lines, head) of each function body; text without comments and directives."""
    depth = 0
    start = 0
    for match in re.finditer(r"[{}]", text):
        if match.group() == "{":
            if depth == 0:
                start = match.start()
            depth += 1
        elif depth > 0:
            depth -= 1
            head = text[:start].rstrip()
            if depth == 0 and head.endswith(")"):
                lines = text.count("\n", start, match.start()) + 1
                head_text = re.split(r"[;}]", head)[-1].strip()
                yield line_of(text, start), lines, " ".join(head_text.split())


def closing(text, opening):
    depth = 0
    for match in re.finditer(r"[()]", text[opening:]):
        depth += 1 if match.group() == "(" else -1
        if depth == 0:
            return opening + match.end()
    return len(text)


def bodies_without_braces(text):
    for match in re.finditer(r"\b(if|for|while|list_each|list_each_safe)\s*\(", text):
        after = text[closing(text, match.end() - 1):].lstrip()
        is_end_of_do = match.group(1) == "while" and after.startswith(";")
        if not after.startswith("{") and not is_end_of_do:
            yield line_of(text, match.start()), match.group(1)
    for match in re.finditer(r"\belse\b", text):
        if not re.match(r"\s*(\{|if\b)", text[match.end():]):
            yield line_of(text, match.start()), "else"


def check_c(path, text, findings):
    code = without_directives(without_comments(text))
    for line, lines, head in functions(code):
        if lines > MAX_FUNCTION_LINES:
            findings.append(f"{path}:{line}: {lines} lines, at most {MAX_FUNCTION_LINES}: {head}")
    for line, word in bodies_without_braces(code):
        findings.append(f"{path}:{line}: the body of this {word} has no braces")
    if path.endswith(".h") and not re.search(r"^#pragma once$", text, re.MULTILINE):
        findings.append(f"{path}:1: #pragma once is missing")


def check(tree):
    findings = []
    for path in tree.paths:
        if not path.endswith(LICENSED):
            continue
        text = tree.text(path)
        lines = text.splitlines()
        if not any("SPDX-License-Identifier: GPL-3.0-or-later" in line for line in lines[:3]):
            findings.append(f"{path}:1: the SPDX line is missing")
        if len(lines) > MAX_FILE_LINES:
            findings.append(f"{path}:1: {len(lines)} lines, at most {MAX_FILE_LINES}")
        if path.endswith((".c", ".h")):
            check_c(path, text, findings)
        if not path.startswith("tests/structure/"):
            for number, line in enumerate(lines, 1):
                if LEFTOVERS.search(line):
                    findings.append(f"{path}:{number}: a leftover: {line.strip()}")
    return findings


SPDX = "// SPDX-License-Identifier: GPL-3.0-or-later\n"
LONG = "    work();\n" * 81
BAD = [
    ({"a/a.c": "int a;\n"}, "a/a.c:1: the SPDX line"),
    ({"a/a.py": "print()\n"}, "SPDX"),
    ({"a/CMakeLists.txt": "project(x)\n"}, "SPDX"),
    ({"a/a.h": SPDX + "int a;\n"}, "#pragma once"),
    ({"a/a.c": SPDX + "int a;\n" * 800}, "801 lines, at most 800"),
    ({"a/a.c": SPDX + "static int f(int a)\n{\n" + LONG + "}\n"},
     "a/a.c:3: 83 lines, at most 80: static int f(int a)"),
    ({"a/a.c": SPDX + "void f(void)\n{\n    if (a && (b)) {\n" + LONG + "    }\n}\n"}, "at most 80"),
    ({"a/a.c": SPDX + "void f(void)\n{\n    if (a)\n        b();\n}\n"}, "a/a.c:4: the body of this if"),
    ({"a/a.c": SPDX + "void f(void)\n{\n    if (a) {\n    } else\n        b();\n}\n"}, "this else"),
    ({"a/a.c": SPDX + "void f(void)\n{\n    while (g(a))\n        b();\n}\n"}, "this while"),
    ({"a/a.c": SPDX + "// TODO: later\n"}, "a leftover"),
]
GOOD = [
    {"a/a.c": SPDX + "#define M(x) \\\n    do { \\\n    if (x) y; \\\n    } while (0)\n"
              "static const int t[] = {\n" + "    1,\n" * 200 + "};\n"
              'void f(void)\n{\n    if (a) {\n        s("if (x) {");\n    } else if (b) {\n'
              "        // if (c) d;\n    } else {\n    }\n    do {\n    } while (x);\n}\n",
     "a/a.h": SPDX + "#pragma once\nstruct s {\n" + "    int a;\n" * 100 + "};\n"},
]

if __name__ == "__main__":
    main(check, BAD, GOOD)
