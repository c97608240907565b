#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that are not made here, and what to use."""

import re

from structure import line_of, main, without_comments

BANNED = {
    "strcpy": "memcpy with a checked length, or snprintf",
    "strcat": "buffer_append",
    "strncat": "buffer_append",
    "sprintf": "snprintf",
    "vsprintf": "vsnprintf",
    "gets": "file_read",
    "strtok": "strchr, strspn",
    "atoi": "strtol with its checks",
    "atol": "strtol with its checks",
    "atoll": "strtoll with its checks",
    "atof": "strtod with its checks",
    "rand": "random_u32",
    "srand": "random_u32",
    "random": "random_u32",
    "alloca": "rm_malloc",
    "signal": "sigaction, or loop_on_signal",
    "mktemp": "mkstemp",
    "tmpnam": "mkstemp",
    "vfork": "posix_spawn",
}
# Memory comes from one place, so that limits and fault tests reach it.
MEMORY = {name: "rm_" + name for name in ("malloc", "calloc", "realloc", "strdup", "strndup", "free")}
MEMORY_OWNER = "common/base/alloc.c"
SHELL = {"system": "posix_spawn", "popen": "posix_spawn"}
# Tests meet no stranger's input, run under sanitizers, and want the same random numbers every time.
TESTS_MAY = {"strcpy", "strcat", "strtok", "atoi", "atol", "rand", "srand", "random", "signal"}


def rules_for(path):
    if path.startswith("tests/"):
        return {name: better for name, better in BANNED.items() if name not in TESTS_MAY}
    if path == MEMORY_OWNER:
        return {**BANNED, **SHELL}
    return {**BANNED, **SHELL, **MEMORY}


def uses(text, names):
    """(offset, name) of each call, and of each memory function that is given away as a value; not of a
    member, nor of a part of a longer name."""
    for match in re.finditer(rf"(?<![\w.>])({'|'.join(names)})\s*\(", text):
        yield match.start(1), match.group(1)
    given = [name for name in names if name in MEMORY]
    if given:
        for match in re.finditer(rf"[=(,]\s*&?({'|'.join(given)})\s*[,;)}}]", text):
            yield match.start(1), match.group(1)


def check(tree):
    findings = []
    for path in tree.c_files():
        rules = rules_for(path)
        text = without_comments(tree.text(path))
        for offset, name in uses(text, rules):
            line = line_of(text, offset)
            findings.append(f"{path}:{line}: {name}() is banned: use {rules[name]}")
    return findings


BAD = [({"common/base/x.c": f"void f(void)\n{{\n    {name}(a);\n}}\n"},
        f"common/base/x.c:3: {name}() is banned")
       for name in list(BANNED) + list(MEMORY) + list(SHELL)]
BAD += [
    ({"control/a/b.c": "x = (struct hooks){malloc, free};\n"}, "free() is banned"),
    ({"control/a/b.c": "static void *(*give)(size_t) = malloc;\n"}, "malloc() is banned"),
    ({"control/a/b.c": "    strcpy (to, from);\n"}, "strcpy() is banned"),
    ({"tests/unit/a/b.c": "sprintf(to, from);\n"}, "sprintf() is banned"),
]
GOOD = [
    {"common/base/alloc.c": "void *rm_malloc(size_t n)\n{\n    return malloc(n);\n}\n"},
    {"common/a/b.c": '// free(x)\n/* strcpy(a, b) */\nputs("system(1)");\nrm_free(x); hooks->free(x);\n'
                     "hooks.free(y); loop_on_signal(z); my_strcpy(q);\n",
     "tests/unit/a/b.c": 'system("cp a b"); free(entries); srand(4711);\n',
     "common/loop/a.c": "start(signal, number); print(random);\n"},
]

if __name__ == "__main__":
    main(check, BAD, GOOD)
