# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane burnt the token and the answer got lost on the way: the workload asks again with the same key and
gets its certificate. Another key gets nothing."""
import contextlib
import socket
import threading

from mesh import Sidecar, identity, wait_until


class Middle:
    """Carries connections to `port`; once `cut_after` bytes went back on one of the first `cuts` connections, it is
    reset at both ends."""

    def __init__(self, port, cuts, cut_after):
        self.target, self.cuts, self.cut_after = port, cuts, cut_after
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.count, self.process = 0, None
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.socket.accept()
                self.count += 1
                limit = self.cut_after if self.count <= self.cuts else None
                far = socket.create_connection(("127.0.0.1", self.target))
                threading.Thread(target=self.carry, args=(near, far, None), daemon=True).start()
                threading.Thread(target=self.carry, args=(far, near, limit), daemon=True).start()

    def carry(self, source, target, limit):
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if limit is not None and passed + len(data) > limit:
                    target.sendall(data[:limit - passed])
                    break
                target.sendall(data)
                passed += len(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                one.shutdown(socket.SHUT_RDWR)
                one.close()

    def close(self):
        self.socket.close()


def start(mesh, control, middle):
    control.create_token(identity("web"), "web", path=mesh.folder / "web.token")
    return mesh.add(Sidecar(mesh.folder, "web", services=[("web", 80, "127.0.0.1:1")], identity_yaml=f"""\
  control:
    address: 127.0.0.1:{middle.port}
    trust_domain: example.org
    join_token_file: {mesh.folder}/web.token
""")).start(ready=False)


def issued(control):
    return [line for line in control.process.events() if line["event"] == "issued"]


def test_answer_cut_off_at_any_byte_is_asked_for_again(mesh):
    """Cuts through the whole answer: before the commit, after it, in the middle of the message."""
    control = mesh.start_control()
    control.create_service("web", 80, identity("web"))
    after_commit = 0
    for cut_after in range(1200, 4400, 160):
        before = len(issued(control))
        middle = mesh.add(Middle(control.port, cuts=1, cut_after=cut_after))
        sidecar = start(mesh, control, middle)
        sidecar.wait_ready()
        answers = len(issued(control)) - before
        after_commit += answers > 1 or control.process.has_event("repeated")
        tokens = control.json("token", "list")["tokens"]
        assert all(one["state"] == "used" for one in tokens), tokens
        sidecar.stop()
    assert after_commit, "no cut came between the commit and the answer's end"


def test_answer_that_is_lost_twice_is_still_given(mesh):
    control = mesh.start_control()
    control.create_service("web", 80, identity("web"))
    middle = mesh.add(Middle(control.port, cuts=3, cut_after=2600))
    sidecar = start(mesh, control, middle)
    sidecar.wait_ready()
    assert middle.count >= 4


def test_lost_renewal_is_repeated_without_a_fork(mesh):
    """A renewal whose answer is lost is asked for again with the same key: no second key, no alarm."""
    control = mesh.start_control(lifetime="30s")
    control.create_service("web", 80, identity("web"))
    middle = mesh.add(Middle(control.port, cuts=0, cut_after=0))
    sidecar = start(mesh, control, middle)
    sidecar.wait_ready()
    # The next two connections lose their answers in the middle.
    middle.cuts, middle.cut_after = middle.count + 2, 2600
    wait_until(lambda: sidecar.metric("remora_certificate_renewals_total", result="failed") >= 1,
               "a lost answer", process=sidecar.process)
    wait_until(lambda: sidecar.metric("remora_certificate_renewals_total", result="ok") >= 2, "the renewal",
               process=sidecar.process)
    assert not any("fork" in str(line) for line in control.process.events())
    assert sidecar.ready()[0] == 200
