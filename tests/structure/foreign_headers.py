#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each foreign library is included in its own rooms only."""

import re

from structure import includes, main

# Beginning of the header's name -> the folders that may include it.
OWNERS = {
    "wolfssl/":    ["common/crypto", "common/tls"],
    "nghttp2/":    ["common/h2"],
    "uv.h":        ["common/loop"],
    "ares":        ["common/loop"],
    "sqlite3":     ["control/store"],
    "yaml.h":      ["common/config"],
    "jansson":     ["common/json"],
    "protobuf-c/": ["common/pb"],
}
# Generated headers, and protobuf-c with them, belong to files of this name; a test may build messages by
# hand.
WIRE_FILE = re.compile(r"_wire(_internal)?\.[ch]$")


def folders_of(owner):
    """A room's unit tests may look at its library too."""
    return [owner + "/", "tests/unit/" + owner.split("/")[-1] + "/"]


def may_include(path, prefix):
    if prefix == "protobuf-c/" and WIRE_FILE.search(path):
        return True
    return any(path.startswith(folder) for owner in OWNERS[prefix] for folder in folders_of(owner))


def check(tree):
    findings = []
    for path in tree.c_files():
        for line, name, _ in includes(tree.text(path)):
            may_build = path.startswith("tests/") or WIRE_FILE.search(path)
            if name.endswith(".pb-c.h") and not may_build:
                findings.append(f"{path}:{line}: {name} belongs into a *_wire.c")
            for prefix, owners in OWNERS.items():
                if name.startswith(prefix) and not may_include(path, prefix):
                    findings.append(f"{path}:{line}: <{name}> belongs into {' or '.join(owners)}")
    return findings


BAD = [
    ({"common/h2/h2.c": "#include <wolfssl/ssl.h>\n"}, "common/h2/h2.c:1: <wolfssl/ssl.h>"),
    ({"common/tls/tls.c": "\n#include <nghttp2/nghttp2.h>\n"}, "common/tls/tls.c:2: <nghttp2/"),
    ({"common/stream/socket.c": "#include <uv.h>\n"}, "<uv.h> belongs into common/loop"),
    ({"control/ca/ca.c": "#include <sqlite3.h>\n"}, "<sqlite3.h> belongs into control/store"),
    ({"sidecar/config/config.c": "#include <yaml.h>\n"}, "<yaml.h> belongs into common/config"),
    ({"common/config/config.c": '#include "jansson.h"\n'}, "<jansson.h>"),
    ({"common/base/base.c": "#  include <ares.h>\n"}, "<ares.h>"),
    ({"common/rpc/rpc.c": '#include "grpc/health/v1/health.pb-c.h"\n'}, "belongs into a *_wire.c"),
    ({"tests/unit/h2/x.c": "#include <wolfssl/ssl.h>\n"}, "<wolfssl/ssl.h>"),
]
GOOD = [
    {"common/tls/tls.c": "#include <wolfssl/ssl.h>\n", "common/crypto/a.h": "#include <wolfssl/x.h>\n",
     "common/loop/loop.c": "#include <uv.h>\n#include <ares.h>\n",
     "tests/unit/store/x.c": "#include <sqlite3.h>\n",
     "tests/unit/pb/x.c": '#include "remora/mesh/v1/mesh.pb-c.h"\n',
     "common/rpc/health_wire.c": '#include "grpc/health/v1/health.pb-c.h"\n',
     "common/h2/h2.c": "// <wolfssl/ssl.h> is not for us\n/*\n#include <uv.h>\n*/\n"},
]

if __name__ == "__main__":
    main(check, BAD, GOOD)
