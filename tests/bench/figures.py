#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of Remora's spine, in one run: sizes, memory, start-up, issuance, round trips.

    tests/bench/figures.py [--repeat 5]

Builds the release preset first. Compares with floors measured in the same run (the machine's own fsync rate).
Nothing here is asserted; the aims stand beside the figures.
"""
import argparse
import calendar
import json
import os
import pathlib
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
BUILD = REPO / "build" / "release"
os.environ["REMORA_BUILD_DIR"] = str(BUILD)
sys.path.insert(0, str(REPO / "tests" / "support"))
import mesh  # noqa: E402  (needs REMORA_BUILD_DIR)


def show(name, value, aim=""):
    print(f"{name:56} {value:>24}   {aim}", flush=True)


def build():
    subprocess.run([REPO / "deploy" / "install-deps.sh"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--preset", "release", "-DREMORA_TESTS=ON"], cwd=REPO, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", "--preset", "release", "--", "remora-sidecar", "remora-control", "remora",
                    "bench_issue_rate", "bench_store_commit"], cwd=REPO, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--preset", "static"], cwd=REPO, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", "--preset", "static", "--", "remora-sidecar"], cwd=REPO, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def sizes(folder):
    for program, path, aim in (("remora-sidecar", mesh.SIDECAR, "aim < 3 MiB"), ("remora-control", mesh.CONTROL, "aim < 5 MiB"),
                               ("remora", mesh.REMORA, "")):
        stripped = pathlib.Path(folder) / f"{program}.stripped"
        subprocess.run(["strip", "-o", stripped, path], check=True)
        show(f"stripped size of {program}", f"{stripped.stat().st_size / 2**20:.2f} MiB", aim)


def memory(pid):
    """(RSS, PSS) in MiB."""
    values = {}
    for line in open(f"/proc/{pid}/smaps_rollup"):
        name, _, rest = line.partition(":")
        if name in ("Rss", "Pss"):
            values[name] = int(rest.split()[0]) / 1024
    return values["Rss"], values["Pss"]


def start_up(folder, repeat):
    """From the sidecar's start to its certificate, readiness and first proxied byte, in ms."""
    first_certificate, ready, first_byte = [], [], []
    m = mesh.Mesh(folder)
    echo = mesh.EchoServer()
    control = m.start_control()
    control.create_service("echo", 7, mesh.identity("echo"))
    m.sidecar("echo", serves=[("echo", 7, echo.address)])
    time.sleep(1)
    for i in range(repeat):
        sidecar = m.sidecar(f"client{i}", calls=["echo"], start=False)
        begin = time.time()
        sidecar.start(ready=False)
        marks = {}
        while len(marks) < 2:
            if "ready" not in marks and sidecar.ready()[0] == 200:
                marks["ready"] = time.time()
            if "byte" not in marks:
                try:
                    with socket.create_connection(("127.0.0.1", sidecar.port("echo")), 0.2) as s:
                        s.settimeout(5)
                        s.sendall(b"x")
                        if s.recv(1) == b"x":
                            marks["byte"] = time.time()
                except OSError:
                    pass
            time.sleep(0.0005)
        for event in sidecar.process.events():
            if event.get("event") == "certificate_in_force":
                stamp = event["time"]
                whole = time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S")
                first_certificate.append((calendar.timegm(whole) + int(stamp[20:23]) / 1000 - begin) * 1000)
                break
        ready.append((marks["ready"] - begin) * 1000)
        first_byte.append((marks["byte"] - begin) * 1000)
        sidecar.process.stop()
    show("start to first certificate, median", f"{statistics.median(first_certificate):.0f} ms", "aim < 100 ms in all")
    show("start to ready, median", f"{statistics.median(ready):.0f} ms")
    show("start to first proxied byte, median", f"{statistics.median(first_byte):.0f} ms")
    idle = m.sidecar("idle", calls=["echo"], workers=2)
    time.sleep(2)
    rss, pss = memory(idle.process.pid)
    show("sidecar, idle, 2 workers: RSS / PSS", f"{rss:.2f} / {pss:.2f} MiB", "aim < 4 MiB; counts the shared C library")
    mesh.SIDECAR = REPO / "build" / "static" / "sidecar" / "remora-sidecar"
    static = m.sidecar("static", calls=["echo"], workers=2)
    time.sleep(2)
    rss, pss = memory(static.process.pid)
    show("the same, static build (containers): RSS / PSS", f"{rss:.2f} / {pss:.2f} MiB", "aim < 4 MiB")
    rss, pss = memory(control.process.pid)
    show("control plane, idle: RSS / PSS", f"{rss:.2f} / {pss:.2f} MiB", "aim < 8 MiB")
    round_trips(idle, m)
    m.close()
    echo.close()


def round_trips(sidecar, m):
    """Payload flights on the tunnel, from a capture on loopback, until the application's answer is there."""
    tunnel = next(part.tunnel for part in m.parts if isinstance(part, mesh.Sidecar) and part.services)
    sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sniffer.bind(("lo", 0))
    sniffer.settimeout(0.2)
    packets, stop = [], threading.Event()

    def sniff():
        while not stop.is_set():
            try:
                packet, where = sniffer.recvfrom(65536)
            except TimeoutError:
                continue
            if where[2] == socket.PACKET_OUTGOING or len(packet) < 54 or packet[23] != 6:
                continue  # loopback shows each packet twice
            ip_length = (packet[14] & 15) * 4
            source, target = struct.unpack("!HH", packet[14 + ip_length:18 + ip_length])
            tcp_length = (packet[14 + ip_length + 12] >> 4) * 4
            total = struct.unpack("!H", packet[16:18])[0]
            payload = total - ip_length - tcp_length
            if tunnel in (source, target) and payload > 0:
                packets.append(("client" if target == tunnel else "server", payload))

    thread = threading.Thread(target=sniff)
    thread.start()
    time.sleep(0.3)
    with socket.create_connection(("127.0.0.1", sidecar.port("echo"))) as s:
        s.sendall(b"x")
        s.recv(1)
    time.sleep(0.5)
    stop.set()
    thread.join()
    flights = []
    for side, payload in packets:
        if not flights or flights[-1][0] != side:
            flights.append([side, 0])
        flights[-1][1] += payload
    show("flights on the tunnel to the first application byte", " ".join(f"{s[0]}:{n}" for s, n in flights[:6]),
         "c s c s = 2 round trips after TCP's own")


def issuance(folder, count):
    m = mesh.Mesh(folder)
    control = m.start_control(test_lifetimes=False, log_level="warn", extra=(
        "limits: {attestations_per_second: 1000000, attestation_burst: 1000000, "
        "signings_per_second: 1000000, signing_burst: 1000000}\n"))
    for connections, calls in ((1, 64), (50, 4)):
        # The stubs were made a moment ago.
        import grpc
        from remora.admin.v1 import admin_pb2, admin_pb2_grpc
        channel = grpc.insecure_channel(f"unix:{control.admin_socket}")
        admin = admin_pb2_grpc.AdminStub(channel)
        tokens = []
        pending = []
        for i in range(count):
            pending.append(admin.CreateToken.future(admin_pb2.CreateTokenRequest(
                identity=mesh.identity(f"bench-{connections}-{i}"))))
            if len(pending) == 50:
                tokens += [p.result().token for p in pending]
                pending = []
        tokens += [p.result().token for p in pending]
        path = pathlib.Path(folder) / f"tokens-{connections}"
        path.write_text("\n".join(tokens) + "\n")
        result = subprocess.run([BUILD / "tests/bench/bench_issue_rate", f"127.0.0.1:{control.port}", mesh.TRUST_DOMAIN,
                                 control.bundle, path, str(connections), str(calls)], capture_output=True, text=True)
        if result.returncode != 0:
            print(result.stdout, result.stderr, control.process.log()[-3000:])
            break
        r = json.loads(result.stdout)
        show(f"durable certificates, {connections} connection(s), {r['outstanding']} outstanding",
             f"{r['per_second']} /s", "aim 5,000/s")
        show("   answer p50 / p99", f"{r['p50_ms']} / {r['p99_ms']} ms")
    m.close()


def fsync_rate(folder):
    path = pathlib.Path(folder) / "fsync"
    with open(path, "wb") as file:
        begin, count = time.monotonic(), 0
        while time.monotonic() - begin < 2:
            file.write(b"x" * 4096)
            file.flush()
            os.fdatasync(file.fileno())
            count += 1
        show("this machine's fdatasync of 4 KiB appends", f"{count / 2:.0f} /s", "floor of one commit at a time")
    path.unlink()


def main():
    venv = REPO / ".deps" / "venv" / "bin" / "python"
    if venv.exists() and pathlib.Path(sys.prefix) != venv.parents[1]:
        os.execv(venv, [str(venv), *sys.argv])
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--certificates", type=int, default=5000)
    args = parser.parse_args()
    build()
    with tempfile.TemporaryDirectory(prefix="remora-figures-") as folder:
        subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{REPO / 'proto'}", f"--python_out={folder}",
                        f"--grpc_python_out={folder}", "remora/admin/v1/admin.proto"], check=True, cwd=REPO / "proto")
        sizes(folder)
        (pathlib.Path(folder) / "a").mkdir()
        start_up(pathlib.Path(folder) / "a", args.repeat)
        fsync_rate(folder)
        (pathlib.Path(folder) / "b").mkdir()
        sys.path.insert(0, folder)
        issuance(pathlib.Path(folder) / "b", args.certificates)


if __name__ == "__main__":
    main()
