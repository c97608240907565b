# SPDX-License-Identifier: GPL-3.0-or-later
"""Full disks, read-only folders, garbage and slow clients: no answer without its effect on the disk, and everybody
else is served all the while."""
import concurrent.futures
import os
import socket
import sqlite3
import ssl
import struct
import subprocess
import threading

import pytest

from ca import sni
from mesh import CONTROL, EchoServer, Sidecar, identity, wait_until
from pair import joined_pair, outcome
from tunnel import open_tls

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
CONTROL_ID = "spiffe://example.org/remora/control"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


SETTINGS = frame(4, 0, 0, b"")


# --- Disks --------------------------------------------------------------------------------------------


class SmallDisk:
    """A tmpfs under the control plane's data folder."""

    def __init__(self, folder, size="4m"):
        self.folder, self.process = folder, None
        folder.mkdir(mode=0o700, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", folder], check=True)

    def fill(self):
        with open(self.folder / "filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"\0" * 65536)
            except OSError:
                pass
            try:
                while True:
                    filler.write(b"\0" * 512)
            except OSError:
                pass

    def free(self):
        (self.folder / "filler").unlink()

    def close(self):
        subprocess.run(["umount", "-l", self.folder], check=False)


@needs_root
def test_full_disk_answers_nothing_that_is_not_durable(mesh):
    """While the disk is full nothing is promised; what was promised before is there; afterwards it goes on by
    itself."""
    disk = mesh.add(SmallDisk(mesh.folder / "control-data"))
    pair, _, control = joined_pair(mesh)
    disk.fill()
    refused = None
    for number in range(2000):
        result = control.remora("service", "create", f"full-{number}", "--port", 80, "--identity",
                                identity("web"), check=False)
        if result.returncode != 0:
            refused = result
            break
    assert refused is not None, "two thousand services fit on a full disk"
    assert refused.returncode == 1 and ("space" in refused.stderr or "full" in refused.stderr), refused.stderr
    # The data plane does not care.
    pair.echo()
    names = {one["name"] for one in control.json("service", "list")["services"]}
    assert "web" in names and f"full-{number}" not in names
    disk.free()

    def works():
        return control.remora("service", "create", "afterwards", "--port", 80, "--identity", identity("web"),
                              check=False).returncode == 0

    wait_until(works, "the control plane to go on")
    answered = {f"full-{one}" for one in range(number)} | {"web", "afterwards"}
    control.stop()
    control.start()
    assert {one["name"] for one in control.json("service", "list")["services"]} == answered
    pair.echo()


@needs_root
def test_full_disk_issues_nothing_and_burns_no_token(mesh):
    disk = mesh.add(SmallDisk(mesh.folder / "control-data"))
    control = mesh.start_control()
    control.create_service("web", 80, identity("web"))
    control.create_token(identity("web"), "web", path=mesh.folder / "web.token")
    disk.fill()
    while control.remora("token", "create", "--identity", identity("filler"), check=False).returncode == 0:
        pass
    sidecar = mesh.add(Sidecar(mesh.folder, "web", control=control, token=mesh.folder / "web.token",
                               services=[("web", 80, "127.0.0.1:1")])).start(ready=False)
    wait_until(lambda: "refused to issue" in sidecar.ready()[1], "the refusal", process=sidecar.process)
    assert not [line for line in control.process.events() if line["event"] == "issued"]
    disk.free()
    sidecar.wait_ready()


@needs_root
def test_read_only_folder_is_said_at_the_start_and_later(mesh):
    disk = mesh.add(SmallDisk(mesh.folder / "control-data"))
    pair, _, control = joined_pair(mesh)
    control.stop()
    subprocess.run(["mount", "-o", "remount,ro", disk.folder], check=True)
    control.start(ready=False)
    assert control.process.child.wait(45) == 1
    assert "read-only" in control.process.stderr().lower() or "readonly" in control.process.stderr().lower()
    subprocess.run(["mount", "-o", "remount,rw", disk.folder], check=True)
    control.start()
    pair.echo()


def test_data_folder_of_a_newer_version_is_refused(mesh):
    """Downgrades do not guess."""
    control = mesh.start_control()
    control.stop()
    database = sqlite3.connect(control.data / "store.db")
    database.execute("UPDATE meta SET value = value + 1 WHERE name = 'schema'")
    database.commit()
    database.close()
    control.start(ready=False)
    assert control.process.child.wait(45) == 1
    assert "newer" in control.process.stderr()


def test_missing_data_folder_is_said(mesh):
    control = mesh.start_control()
    control.stop()
    control.data.rename(control.data.with_name("elsewhere"))
    control.start(ready=False)
    assert control.process.child.wait(45) == 1
    assert "init" in control.process.stderr()


def test_second_control_plane_on_one_folder_is_refused(mesh):
    control = mesh.start_control()
    result = subprocess.run([CONTROL, "serve", "--config", control.config], capture_output=True, text=True, timeout=30)
    assert result.returncode == 1
    assert "control-data" in result.stderr or "another" in result.stderr
    assert control.is_ready()


# --- Hostile and slow clients -------------------------------------------------------------------------


def is_served(mesh, control, name):
    """A fresh workload gets its certificate, whatever else goes on."""
    control.create_token(identity(name), path=mesh.folder / f"{name}.token")
    mesh.add(Sidecar(mesh.folder, name, control=control, token=mesh.folder / f"{name}.token")).start()


def open_h2(control):
    return open_tls(control.port, None, sni(CONTROL_ID), alpn=("h2",), timeout=60)


@pytest.mark.parametrize("said", [
    b"GET / HTTP/1.1\r\nHost: control\r\n\r\n", b"\0" * 10000, os.urandom(5000).replace(b"\x16", b"x"),
    b"\x16\x03\x01\xff\xff" + b"\xff" * 70000,
], ids=["http", "zeros", "random", "huge record"])
def test_garbage_before_tls_is_cut_off(mesh, said):
    control = mesh.start_control()
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", control.port), 20) as connection:
            try:
                connection.sendall(said)
            except OSError:
                pass
            outcome(connection)
    is_served(mesh, control, "web")


@pytest.mark.parametrize("said", [
    b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 5000, PREFACE + b"\xff" * 5000,
    PREFACE + SETTINGS + frame(0, 0, 1, b"data on no stream"),
    PREFACE + SETTINGS + frame(1, 4, 1, b"\xff" * 500),
    PREFACE + SETTINGS + frame(1, 4, 2, b""),
    PREFACE + struct.pack(">I", 16777215)[1:] + b"\x00\x00\x00\x00\x00\x01" + b"x" * 20000,
    PREFACE + SETTINGS + frame(8, 0, 0, b"\0\0\0\0") * 100,
], ids=["http/1.1", "noise", "noise after preface", "data on no stream", "bad header block", "even stream",
        "huge frame", "zero window updates"])
def test_garbage_inside_tls_is_cut_off(mesh, said):
    control = mesh.start_control()
    with open_h2(control) as tls:
        try:
            tls.sendall(said)
            while tls.recv(65536):
                pass
        except (OSError, ssl.SSLError):
            pass
    is_served(mesh, control, "web")


def rapid_resets(first):
    """Fifty requests, each taken back at once."""
    return b"".join(frame(1, 4, first + 2 * one, b"\x83\x87\x84\x41\x01a") +
                    frame(3, 0, first + 2 * one, struct.pack(">I", 8)) for one in range(50))


def goaways(data):
    """Error codes of the GOAWAY frames in what the server sent."""
    found, at = [], 0
    while at + 9 <= len(data):
        length, kind = int.from_bytes(data[at:at + 3], "big"), data[at + 3]
        if kind == 7:
            found.append(int.from_bytes(data[at + 13:at + 17], "big"))
        at += 9 + length
    return found


@pytest.mark.parametrize("flood", ["pings", "settings", "resets"])
def test_floods_of_frames_are_cut_off(mesh, flood):
    """The sender is told to calm down (RFC 9113 7, ENHANCE_YOUR_CALM) and cut off."""
    control = mesh.start_control()
    received = b""
    with open_h2(control) as tls:
        tls.sendall(PREFACE + SETTINGS)
        try:
            for number in range(100):
                tls.sendall({"pings": frame(6, 0, 0, bytes(8)) * 50, "settings": SETTINGS * 50,
                             "resets": rapid_resets(1 + 100 * number)}[flood])
            while piece := tls.recv(65536):
                received += piece
        except (OSError, ssl.SSLError) as error:
            assert not isinstance(error, TimeoutError), "nobody cut it off"
    assert 11 in goaways(received)
    is_served(mesh, control, "web")


def test_silent_and_slow_clients_are_cut_off_and_do_not_keep_others_out(mesh):
    """Before TLS, after TLS, in the middle of a first request: each has a deadline."""
    control = mesh.start_control()
    silent = [socket.create_connection(("127.0.0.1", control.port), 60) for _ in range(50)]
    idle = [open_h2(control) for _ in range(10)]
    half = [open_h2(control) for _ in range(10)]
    for tls in half:
        tls.sendall(PREFACE + SETTINGS + frame(1, 0, 1, b"\x83\x87"))
    is_served(mesh, control, "web")

    def ended(connection):
        try:
            while connection.recv(65536):
                pass
        except (OSError, ssl.SSLError) as error:
            assert not isinstance(error, TimeoutError), "nobody cut it off"
        return True

    with concurrent.futures.ThreadPoolExecutor(70) as pool:
        assert all(pool.map(ended, silent + idle + half))


def test_trickled_request_is_cut_off(mesh):
    """A byte now and then is no request."""
    control = mesh.start_control()
    with open_h2(control) as tls:
        tls.settimeout(0.3)
        said = PREFACE + SETTINGS + frame(1, 0, 1, b"\x83\x87\x84" + b"\x40\x01a\x01b" * 200)
        ended = False
        for byte in said:
            try:
                tls.sendall(bytes([byte]))
                ended = tls.recv(65536) == b""
            except TimeoutError:
                continue
            except (OSError, ssl.SSLError):
                ended = True
            if ended:
                break
        assert ended, "nobody cut it off"
    is_served(mesh, control, "web")


def test_load_of_joins_is_served(mesh):
    """Twenty sidecars that start at the same moment, and one whose certificate is due."""
    control = mesh.start_control()
    control.create_service("web", 80, identity("web"))
    application = mesh.add(EchoServer())
    for number in range(20):
        control.create_token(identity(f"w{number}"), path=mesh.folder / f"w{number}.token")
    sidecars = [mesh.add(Sidecar(mesh.folder, f"w{number}", control=control,
                                 token=mesh.folder / f"w{number}.token")) for number in range(20)]
    threads = [threading.Thread(target=one.start, kwargs={"ready": False}) for one in sidecars]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in sidecars:
        one.wait_ready()
    assert application.count == 0
    assert len(control.json("certificates")["certificates"]) == 20
