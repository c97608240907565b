#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rooms see only what lies below them."""

import re

from structure import includes, main

# Rooms of common/, lowest first, and exactly what each may see.
COMMON = {
    "base":      "",
    "faults":    "",
    "pb":        "base",
    "json":      "base",
    "identity":  "base faults",
    "policy":    "base faults identity",
    "crypto":    "base identity",
    "mesh":      "base identity policy",
    "mesh_wire": "base identity policy mesh pb crypto",
    "config":    "base",
    "metrics":   "base",
    "loop":      "base",
    "stream":    "base identity loop",
    "tls":       "base faults identity crypto loop stream",
    "h2":        "base loop stream",               # never tls
    "http1":     "base loop stream",
    "rpc":       "base loop stream h2 pb",         # never tls
    "tunnel":    "base pb",
    "program":   "base",
}

# Rooms of each program, lowest first: one may see all of common/ and what stands before it. A file right
# in the program's folder is a room of its own name, except main.c and app*.c, which are "".
PROGRAMS = {
    "sidecar": ["metrics_catalogue", "config", "link", "worker", "inbound", "outbound", "workers",
                "certs", "discovery", "diagnose", "door", "admin", "local", ""],
    "control": ["store", "records", "audit", "config", "access", "ca", "attest", "registry", "push",
                "api", "kube", "webhook", "command", ""],
    "cli":     [""],  # one room
}

# Not even in this order.
NEVER = {("sidecar/outbound", "sidecar/inbound")}

# Headers for one room more than their own: what looks at servers that nobody trusts is for diagnoses alone.
ONLY_FOR = {"common/tls/probe.h": {"tls", "sidecar/diagnose"}}


def room_of(path):
    """Two folders hold two libraries each: common/mesh and control/api.

    'tls', 'sidecar/worker', 'control/' ... of a file, or None when it is in no room."""
    parts = path.split("/")
    if parts[0] == "common" and len(parts) > 2:
        if parts[1] == "mesh" and re.search(r"wire", parts[-1]):
            return "mesh_wire"
        return parts[1]
    if path.startswith("control/api/access"):
        return "control/access"
    if parts[0] in PROGRAMS:
        if len(PROGRAMS[parts[0]]) == 1:
            return parts[0] + "/"
        if len(parts) > 2:
            return parts[0] + "/" + parts[1]
        stem = parts[1].split(".")[0]
        return parts[0] + "/" + ("" if re.match(r"(main|app)($|_)", stem) else stem)
    return None


def target_of(path, name, known):
    """The file of this tree that `path` includes as `name`, or None for a foreign or generated one."""
    parts = path.split("/")
    candidates = ["/".join(parts[:-1] + [name]), "common/" + name]
    if parts[0] in PROGRAMS:
        candidates.append(parts[0] + "/" + name)
    else:
        candidates += [program + "/" + name for program in PROGRAMS]
    candidates.append(name)
    for candidate in candidates:
        if candidate in known:
            return candidate
    return None


def may_see(room, other):
    if room == other:
        return True
    if "/" not in room:
        return other in COMMON[room].split()
    if (room, other) in NEVER or "/" not in other:
        return "/" not in other
    program, name = room.split("/")
    other_program, other_name = other.split("/")
    order = PROGRAMS[program]
    return program == other_program and order.index(other_name) < order.index(name)


def is_known(room):
    if "/" not in room:
        return room in COMMON
    program, name = room.split("/")
    return name in PROGRAMS[program]


def check(tree):
    findings = []
    known = set(tree.paths)
    for path in tree.c_files("common", *PROGRAMS):
        room = room_of(path)
        if room is None or not is_known(room):
            findings.append(f"{path}:1: the room {room} is not in the table of {__file__}")
            continue
        for line, name, is_foreign in includes(tree.text(path)):
            target = None if is_foreign else target_of(path, name, known)
            other = room_of(target) if target else None
            if target is None or other is None:
                continue
            if not is_known(other):
                findings.append(f"{path}:{line}: the room {other} is not in the table")
            elif not may_see(room, other) or room not in ONLY_FOR.get(target, {room}):
                findings.append(f"{path}:{line}: {room} must not see {other} (\"{name}\")")
    return findings


HEADER = {"common/base/error.h": "", "common/tls/tls.h": "", "common/stream/stream.h": ""}
BAD = [
    ({**HEADER, "common/h2/h2.c": '#include "base/error.h"\n#include "tls/tls.h"\n'},
     "common/h2/h2.c:2: h2 must not see tls"),
    ({**HEADER, "common/rpc/rpc.c": '#include "tls/tls.h"\n'}, "rpc must not see tls"),
    ({**HEADER, "common/base/log.c": '#include "stream/stream.h"\n'}, "base must not see stream"),
    ({"sidecar/link/link.h": "", "control/api/api.c": '#include "../../sidecar/link/link.h"\n',
      "common/h2/x.c": '#include "link/link.h"\n'}, "h2 must not see sidecar/link"),
    ({"sidecar/inbound/inbound.h": "",
      "sidecar/outbound/outbound.c": '#include "inbound/inbound.h"\n'},
     "sidecar/outbound must not see sidecar/inbound"),
    ({"sidecar/outbound/outbound.h": "",
      "sidecar/inbound/inbound.c": '# include "outbound/outbound.h"\n'},
     "sidecar/inbound must not see sidecar/outbound"),
    ({"control/api/api.h": "", "control/store/store.c": '#include "api/api.h"\n'},
     "control/store must not see control/api"),
    ({"sidecar/app.h": "", "sidecar/link/link.c": '#include "app.h"\n'},
     "sidecar/link must not see sidecar/"),
    ({"common/tls/probe.h": "", "sidecar/outbound/outbound.c": '#include "tls/probe.h"\n'},
     "sidecar/outbound must not see tls (\"tls/probe.h\")"),
    ({"common/news/news.c": ""}, "news is not in the table"),
    ({"common/pb/pb.h": "", "common/mesh/view.c": '#include "pb/pb.h"\n'}, "mesh must not see pb"),
]
GOOD = [
    {**HEADER, "common/tls/tls.c": '#include "tls/tls.h"\n#include "stream/stream.h"\n'
                                   '// #include "rpc/rpc.h"\n', "common/rpc/rpc.h": ""},
    {"cli/main.c": '#include "table.h"\n', "cli/table.h": ""},
    {"sidecar/metrics_catalogue.h": "", "sidecar/link/l.c": '#include "metrics_catalogue.h"\n'},
    {**HEADER, "sidecar/app.c": '#include "tls/tls.h"\n#include "inbound/inbound.h"\n',
     "sidecar/inbound/inbound.h": '#include "base/error.h"\n'},
    {"common/tls/probe.h": "", "sidecar/diagnose/diagnose_target.c": '#include "tls/probe.h"\n'},
    {"common/pb/pb.h": "", "common/mesh/mesh_resource_wire.c": '#include "pb/pb.h"\n'},
]

if __name__ == "__main__":
    main(check, BAD, GOOD)
