# SPDX-License-Identifier: GPL-3.0-or-later
"""Two sidecars as containers in two network namespaces."""
import os
import pathlib
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "support")]

from ca import Authority  # noqa: E402
from containers import RUNC, Container, Namespaces, fingerprint, image_stage, make_root  # noqa: E402
from pair import identity_yaml  # noqa: E402

APPLICATION_PORT = CLIENT_PORT = 8080
BODY = os.urandom(4 << 20)


class Application(BaseHTTPRequestHandler):
    """/ answers at once, /held with a first half, and with the rest when the test says so."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        half = len(BODY) // 2
        self.wfile.write(BODY[:half])
        if self.path == "/held":
            self.server.may_go_on.wait(60)
        self.wfile.write(BODY[half:])

    def log_message(self, format, *arguments):
        """The sidecars' access logs tell the story."""


class ContainerPair:
    """`web`, before an HTTP server in one namespace; `client`, which offers it in the other."""

    def __init__(self, folder):
        self.folder = folder
        self.parts = []
        self.stage = image_stage("sidecar")
        self.authority = Authority()
        self.web = self.client = self.application = None

    def add(self, part):
        self.parts.append(part)
        return part

    def start(self):
        self.namespaces = self.add(Namespaces())
        self.root = make_root(self.folder / "root", os.environ["REMORA_STATIC_SIDECAR"], self.stage)
        self.before = fingerprint(self.root)
        self.application = self.namespaces.inside(
            "right", ThreadingHTTPServer, ("127.0.0.1", APPLICATION_PORT), Application)
        self.application.may_go_on = threading.Event()
        threading.Thread(target=self.application.serve_forever, daemon=True).start()
        tunnel = f"{self.namespaces.addresses['right']}:15008"
        self.web = self.container("web", "right", (
            f"inbound:\n  listen: {tunnel}\n  services:\n"
            f"    - {{name: web, port: 80, target: '127.0.0.1:{APPLICATION_PORT}'}}\n"))
        self.client = self.container("client", "left", (
            f"inbound:\n  listen: 127.0.0.1:15008\noutbound:\n"
            f"  - {{listen: '127.0.0.1:{CLIENT_PORT}', service: web, port: 80, endpoint: '{tunnel}', "
            f"identity: '{self.authority.identity('web')}'}}\n"))
        for one in (self.web, self.client):
            one.wait_ready()
        return self

    def container(self, name, side, yaml, owner=None):
        """A container whose identity files belong to `owner`, which is the image's user if not given."""
        folder = self.folder / f"{name}-configuration"
        folder.mkdir()
        self.authority.leaf(self.authority.identity(name)).write(folder, name)
        (folder / "bundle.pem").write_bytes(self.authority.bundle_pem)
        mounted = pathlib.PurePath("/etc/remora")
        (folder / "sidecar.yaml").write_text(
            "identity:\n" + identity_yaml(mounted / f"{name}.pem", mounted / f"{name}.key",
                                          mounted / "bundle.pem")
            + yaml + "log: {format: json, access: all}\n")
        for path in folder.iterdir():
            os.chown(path, *(owner or (self.stage["uid"], self.stage["gid"])))
        return self.add(Container(self.folder, name, self.root, self.stage, folder, self.namespaces, side))

    def get(self, path="/"):
        return self.namespaces.get("left", CLIENT_PORT, path)

    def logs(self):
        return "\n".join(one.process.log() for one in self.parts if isinstance(one, Container))

    def close(self):
        if self.application is not None:
            self.application.may_go_on.set()
            self.application.shutdown()
            self.application.server_close()
        for part in reversed(self.parts):
            part.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """The logs of both containers belong to a failed test's report."""
    outcome = yield
    report = outcome.get_result()
    pair = item.funcargs.get("pair") if hasattr(item, "funcargs") else None
    if report.failed and pair is not None:
        report.sections.append(("logs of the containers", pair.logs()))


@pytest.fixture
def pair():
    if os.geteuid() != 0:
        pytest.skip("containers with network namespaces of their own need root")
    assert RUNC is not None, "runc is missing: run deploy/install-deps.sh"
    with tempfile.TemporaryDirectory(prefix="remora-containers-") as folder:
        started = ContainerPair(pathlib.Path(folder))
        try:
            yield started.start()
        finally:
            started.close()
