#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A steady load that counts every failure and never retries.

Through one local port of a sidecar to an HTTP server: new connections at a fixed rate, keep-alive
connections that ask again and again, and long downloads whose checksums must match. Prints a progress line
a second and one JSON line at the end; exit status 1 when anything failed.

    load.py --address 127.0.0.1:8080 --seconds 40 --rate 220 --keep-alive 32 --streams 4 \
            --path / --stream-path /blob --stream-sha256 HEX
"""
import argparse
import asyncio
import hashlib
import json
import sys
import time


class Counts:
    def __init__(self):
        self.new_ok = self.keep_ok = self.streams_ok = self.stream_bytes = 0
        self.failures = {}
        self.slowest_ms = 0.0

    def fail(self, kind, error):
        name = f"{kind}: {type(error).__name__}: {error}"[:160]
        self.failures[name] = self.failures.get(name, 0) + 1

    @property
    def failed(self):
        return sum(self.failures.values())


async def read_head(reader):
    """(status, content length) of one answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    status = int(lines[0].split()[1])
    length = 0
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    if status != 200:
        raise RuntimeError(f"status {status}")
    return status, length


def request(path, close):
    connection = "close" if close else "keep-alive"
    return f"GET {path} HTTP/1.1\r\nHost: web\r\nConnection: {connection}\r\n\r\n".encode()


async def one_new(args, counts):
    start = time.monotonic()
    try:
        reader, writer = await asyncio.open_connection(args.host, args.port)
        try:
            writer.write(request(args.path, True))
            _, length = await read_head(reader)
            await reader.readexactly(length)
            if await reader.read(1):
                raise RuntimeError("bytes after the end")
        finally:
            writer.close()
        counts.new_ok += 1
        counts.slowest_ms = max(counts.slowest_ms, (time.monotonic() - start) * 1000)
    except Exception as error:  # every kind of failure counts
        counts.fail("new connection", error)


async def keep_alive(args, counts, stop):
    """One connection for the whole run; its loss is a failure."""
    try:
        reader, writer = await asyncio.open_connection(args.host, args.port)
        try:
            while not stop.is_set():
                writer.write(request(args.path, False))
                _, length = await read_head(reader)
                await reader.readexactly(length)
                counts.keep_ok += 1
                await asyncio.sleep(0.05)
        finally:
            writer.close()
    except Exception as error:
        counts.fail("keep-alive", error)


async def stream(args, counts, stop):
    """Downloads in turn over one long connection, slowly enough to outlive several certificates."""
    try:
        reader, writer = await asyncio.open_connection(args.host, args.port)
        try:
            while not stop.is_set():
                writer.write(request(args.stream_path, False))
                _, length = await read_head(reader)
                digest = hashlib.sha256()
                while length > 0:
                    piece = await reader.read(min(length, 65536))
                    if not piece:
                        raise RuntimeError(f"ended {length} bytes early")
                    digest.update(piece)
                    length -= len(piece)
                    counts.stream_bytes += len(piece)
                    await asyncio.sleep(0.002)
                if digest.hexdigest() != args.stream_sha256:
                    raise RuntimeError("wrong checksum")
                counts.streams_ok += 1
        finally:
            writer.close()
    except Exception as error:
        counts.fail("stream", error)


async def run(args):
    counts = Counts()
    stop = asyncio.Event()
    workers = [asyncio.create_task(keep_alive(args, counts, stop)) for _ in range(args.keep_alive)]
    workers += [asyncio.create_task(stream(args, counts, stop)) for _ in range(args.streams)]
    running = set()
    start = time.monotonic()
    sent = 0
    shown = 0
    while (elapsed := time.monotonic() - start) < args.seconds:
        # Open loop: the rate does not wait for answers.
        while sent < elapsed * args.rate:
            task = asyncio.create_task(one_new(args, counts))
            running.add(task)
            task.add_done_callback(running.discard)
            sent += 1
        if int(elapsed) > shown:
            shown = int(elapsed)
            print(f"\r  {shown:3d}/{args.seconds} s   new {counts.new_ok:6d}   keep-alive {counts.keep_ok:6d}   "
                  f"streamed {counts.stream_bytes >> 20:5d} MiB   failed {counts.failed}", end="",
                  file=sys.stderr, flush=True)
        await asyncio.sleep(0.005)
    if running:
        await asyncio.wait(running, timeout=15)
    for task in running:
        counts.fail("new connection", TimeoutError("no answer in 15 s"))
        task.cancel()
    stop.set()
    _, late = await asyncio.wait(workers, timeout=30)
    for task in late:
        counts.fail("worker", TimeoutError("did not end"))
        task.cancel()
    elapsed = time.monotonic() - start
    print(file=sys.stderr)
    print(json.dumps({"seconds": round(elapsed, 1), "new_connections": counts.new_ok,
                      "new_per_second": round(counts.new_ok / args.seconds, 1),
                      "keep_alive_requests": counts.keep_ok, "streams_complete": counts.streams_ok,
                      "stream_bytes": counts.stream_bytes, "slowest_new_ms": round(counts.slowest_ms, 1),
                      "failed": counts.failed, "failures": counts.failures}))
    return 1 if counts.failed else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--seconds", type=int, default=40)
    parser.add_argument("--rate", type=int, default=220)
    parser.add_argument("--keep-alive", type=int, default=32)
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--path", default="/")
    parser.add_argument("--stream-path", default="/blob")
    parser.add_argument("--stream-sha256", default="")
    args = parser.parse_args()
    args.host, _, port = args.address.rpartition(":")
    args.port = int(port)
    return asyncio.run(run(args))


if __name__ == "__main__":
    sys.exit(main())
