# SPDX-License-Identifier: GPL-3.0-or-later
"""Two sidecars on two machines, as far as the kernel can tell: network namespaces. Needs root."""
import socket

from mesh import EchoServer, Sidecar, wait_until
from netns import Capture, Namespaces, inside
from pair import write_identity

TUNNEL = 15008


class Machines:
    """The service on the right, its client on the left; real ports, since each machine is alone."""

    def __init__(self, mesh, authority, handler=None, extra="", captures=True):
        self.spaces = mesh.add(Namespaces())
        left, right = self.spaces.left, self.spaces.right
        self.capture = mesh.add(Capture(right)) if captures else None
        self.application = mesh.add(inside(right, lambda: EchoServer(handler)))
        self.server_id = authority.identity("web")
        self.server = mesh.add(Sidecar(
            mesh.folder, "web", services=[("web", 80, self.application.address)],
            argv_prefix=["ip", "netns", "exec", right],
            identity_yaml=write_identity(mesh.folder, "web", authority.leaf(self.server_id),
                                         authority.bundle_pem), extra=extra))
        text = self.server.config.read_text()
        self.server.config.write_text(text.replace(f"listen: 127.0.0.1:{self.server.tunnel}",
                                                   f"listen: 0.0.0.0:{TUNNEL}"))
        self.client = mesh.add(Sidecar(
            mesh.folder, "client",
            outbound=[f"{{listen: '127.0.0.1:8080', service: web, port: 80, endpoint: '10.99.0.2:{TUNNEL}', "
                      f"identity: '{self.server_id}'}}"],
            argv_prefix=["ip", "netns", "exec", left],
            identity_yaml=write_identity(mesh.folder, "client", authority.leaf(authority.identity("client")),
                                         authority.bundle_pem), extra=extra))
        for sidecar in (self.server, self.client):
            sidecar.start(ready=False)
            sidecar.process.wait_event("certificate_in_force")
            sidecar.process.wait_event("started")

    def connect(self):
        return inside(self.spaces.left, lambda: socket.create_connection(("127.0.0.1", 8080), 20))

    def finished(self):
        """The segments, when both sidecars have let go of their connections."""
        wait_until(lambda: self.client.process.access() and self.server.process.access(), "access lines")
        return self.capture.packets()
