#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""No mirror, proxy or package registry of somebody's own network gets into the tree: every host that a
URL names is in this table, or one of the names that are kept for examples (RFC 2606, RFC 6761)."""

import re

from structure import main

ALLOWED = {
    "github.com", "www.wolfssl.com", "www.sqlite.org", "datatracker.ietf.org", "www.rfc-editor.org",
    "spiffe.io", "grpc.io", "protobuf.dev", "www.gnu.org", "fsf.org", "spdx.org", "kubernetes.io",
    "keepachangelog.com", "semver.org", "json-schema.org", "www.w3.org", "prometheus.io",
    "docs.podman.io", "docs.kernel.org", "man7.org", "www.debian.org", "localhost",
}
EXAMPLES = re.compile(r"(^|\.)(test|example|invalid|localhost|internal|local)$|(^|\.)example\.(org|com|net)$")
ADDRESS = re.compile(r"^\d+(\.\d+){3}$")
URL = re.compile(r"\b(?:https?|ftp|socks5h?|oci|docker)://(?:[^\s/@\"']*@)?([A-Za-z0-9._-]+)")
# Settings that name a mirror or a proxy, whatever the host.
SETTINGS = re.compile(
    r"(--(?:extra-)?index-url|--proxy|--trusted-host|PIP_INDEX_URL\s*=|GOPROXY\s*=|"
    r"https?_proxy\s*=|HTTPS?_PROXY\s*=|registry-mirrors?|Acquire::https?::Proxy)")
BINARY = (".png", ".gz", ".ico", ".pdf", ".zst")


def is_allowed(host):
    host = host.rstrip(".").lower()
    # One word is a name in a test's own network or a placeholder, not a host of the world.
    return (host in ALLOWED or "." not in host or ADDRESS.match(host) is not None
            or EXAMPLES.search(host) is not None)


def check(tree):
    findings = []
    for path in tree.paths:
        if path.endswith(BINARY) or path.startswith("tests/structure/"):
            continue
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            for match in URL.finditer(line):
                if not is_allowed(match.group(1)):
                    findings.append(f"{path}:{number}: the host {match.group(1)} is not in the table")
            if SETTINGS.search(line):
                findings.append(f"{path}:{number}: names a mirror or proxy: {line.strip()}")
    return findings


BAD = [
    ({"deploy/a.sh": "curl https://mirror.corp.acme.io/debian\n"}, "a.sh:1: the host mirror.corp.acme.io"),
    ({"a.txt": "pip install --index-url x y\n"}, "names a mirror"),
    ({"a.txt": "see\nhttps://user:pw@registry.acme.dev/simple/x\n"}, "a.txt:2: the host registry.acme.dev"),
    ({"Containerfile": "ENV HTTPS_PROXY=http://proxy:3128\n"}, "names a mirror"),
]
GOOD = [
    {"a.md": "https://github.com/x/y http://127.0.0.1:80/ https://td.test/x http://web/ "
             "https://a.example.org/\n", "b.md": "the proxy of the mesh\n"},
]

if __name__ == "__main__":
    main(check, BAD, GOOD)
