#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plain TCP relay costs: ours by splice and by copy, beside nginx's stream proxy, one worker each, in
the same run.

The figure that counts is processor time of the proxy per unit of work (from /proc/PID/stat): wall-clock
figures drift on a shared machine. Needs: nginx, libnginx-mod-stream, wrk.

    ninja -C BUILD bench_relay_floor
    tests/bench/relay_floor.py BUILD/tests/bench/bench_relay_floor [--seconds 5] [--repeat 3]
"""
import argparse
import multiprocessing
import os
import re
import resource
import socket
import statistics
import subprocess
import tempfile
import time

TICKS = os.sysconf("SC_CLK_TCK")
IDLE_CONNECTIONS = 2000


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait_for(port):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port}")


def children(pid):
    found = [pid]
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as file:
            for child in file.read().split():
                found += children(int(child))
    return found


def cpu_seconds(pid):
    total = 0
    for each in children(pid):
        with open(f"/proc/{each}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def pss_kib(pid):
    total = 0
    for each in children(pid):
        with open(f"/proc/{each}/smaps_rollup") as file:
            total += int(re.search(r"Pss:\s+(\d+)", file.read()).group(1))
    return total


class Bench:
    def __init__(self, folder, seconds):
        self.folder = folder
        self.seconds = seconds
        self.processes = []

    def start(self, command):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()

    def nginx(self, name, body):
        path = os.path.join(self.folder, f"{name}.conf")
        with open(path, "w") as file:
            file.write("load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n"
                       f"daemon off; worker_processes 1; pid {self.folder}/{name}.pid;\n"
                       "error_log /dev/null; worker_rlimit_nofile 20000;\n"
                       "events { worker_connections 10000; }\n" + body)
        return self.start(["nginx", "-p", self.folder, "-c", path])

    def backend(self):
        port = free_port()
        self.nginx("backend", "http { access_log off; keepalive_requests 1000000000; server { "
                   f"listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 'hello'; }} }} }}")
        wait_for(port)
        return port

    def proxy(self, kind, target, relay):
        port = free_port()
        if kind == "nginx":
            process = self.nginx(f"proxy-{port}", "stream { server { "
                                 f"listen 127.0.0.1:{port} backlog=4096; "
                                 f"proxy_pass 127.0.0.1:{target}; }} }}")
        else:
            mode = ["copy"] if kind == "copy" else []
            process = self.start([relay, f"127.0.0.1:{port}", f"127.0.0.1:{target}", *mode])
        wait_for(port)
        return process.pid, port

    def requests(self, port, connections, headers=()):
        output = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{self.seconds}s", *headers,
             f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True).stdout
        return int(re.search(r"(\d+) requests in", output).group(1))


def measure(bench, pid, work):
    before = cpu_seconds(pid)
    start = time.monotonic()
    done = work()
    wall = time.monotonic() - start
    return done, wall, cpu_seconds(pid) - before


def sink(server):
    """Takes connections and throws away what comes."""
    space = bytearray(1 << 20)
    while True:
        connection, _ = server.accept()
        with connection:
            while connection.recv_into(space):
                pass


def bulk(bench, port):
    """Sends as fast as it goes; returns how much the other end took."""
    block = bytes(1 << 20)
    sent = 0
    deadline = time.monotonic() + bench.seconds
    with socket.create_connection(("127.0.0.1", port)) as connection:
        while time.monotonic() < deadline:
            connection.sendall(block)
            sent += len(block)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
    return sent


def idle_bytes(pid, port):
    before = pss_kib(pid)
    idle = []
    for _ in range(IDLE_CONNECTIONS):
        one = socket.create_connection(("127.0.0.1", port))
        # One exchange, so that what a connection needs only while it works has come and gone.
        one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        one.recv(4096)
        idle.append(one)
    used = (pss_kib(pid) - before) * 1024 / IDLE_CONNECTIONS
    for one in idle:
        one.close()
    return used


def run(bench, relay, kind, backend, sink_port):
    rows = {}
    pid, port = bench.proxy(kind, sink_port, relay)
    done, wall, cpu = measure(bench, pid, lambda: bulk(bench, port))
    rows["bulk GB per cpu-s"] = done / 1e9 / cpu
    rows["bulk GB/s"] = done / 1e9 / wall
    pid, port = bench.proxy(kind, backend, relay)
    for connections in (1, 32):
        done, wall, cpu = measure(bench, pid, lambda: bench.requests(port, connections))
        rows[f"c={connections} cpu us per request"] = cpu / done * 1e6
        rows[f"c={connections} requests/s"] = done / wall
    done, wall, cpu = measure(
        bench, pid, lambda: bench.requests(port, 16, ("-H", "Connection: close")))
    rows["new connection, cpu us"] = cpu / done * 1e6
    pid, port = bench.proxy(kind, backend, relay)
    rows["idle connection, bytes"] = idle_bytes(pid, port)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("relay", help="the built bench_relay_floor")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
    results = {"splice": [], "copy": [], "nginx": []}
    with tempfile.TemporaryDirectory(prefix="remora-bench-") as folder:
        bench = Bench(folder, options.seconds)
        try:
            backend = bench.backend()
            server = socket.create_server(("127.0.0.1", 0))
            drain = multiprocessing.Process(target=sink, args=(server,), daemon=True)
            drain.start()
            sink_port = server.getsockname()[1]
            for _ in range(options.repeat):
                for kind in results:
                    results[kind].append(run(bench, options.relay, kind, backend, sink_port))
        finally:
            bench.stop()
    print(f"{'median of ' + str(options.repeat):28}" + "".join(f"{kind:>12}" for kind in results))
    for row in results["splice"][0]:
        values = [statistics.median(each[row] for each in results[kind]) for kind in results]
        print(f"{row:28}" + "".join(f"{value:12.4g}" for value in values))


if __name__ == "__main__":
    main()
