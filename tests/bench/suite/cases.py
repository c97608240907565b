# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured. A case starts a pair of each peer in turn, afresh, and yields rows: (key, value)."""
import dataclasses
import re
import time

from . import handshakes
from .processes import Failed

SETTLE_SECONDS = 1.5       # before memory is read
AFTER_BURST_SECONDS = 12   # the same, after thousands of connections have closed
CHURN_CONNECTIONS = 32
OPEN_CONNECTIONS = 64
SLOW_CONNECTIONS = 1000
KEEPALIVE = [(count, size) for count in (1, 32, 512) for size in (0, 1024, 16384)]


@dataclasses.dataclass
class Bar:
    """What Remora's figure may be at most."""
    must: float
    aim: float
    is_ratio: bool = True  # to nginx's of the same run; else the value itself


@dataclasses.dataclass
class Row:
    label: str
    unit: str
    bar: Bar = None
    has_ratio: bool = True


BULK, REQUEST = Bar(0.78, 0.68), Bar(0.82, 0.75)
FULL, RESUMED = Bar(0.38, 0.31), Bar(0.42, 0.32)


@dataclasses.dataclass
class Reuse:
    """What the proxies are told about sessions."""
    label: str
    bar: Bar
    resumes: bool  # the outbound ones
    tickets: bool  # given out by the inbound ones


REUSE = {"full": Reuse("full, no reuse at either end", FULL, False, False),
         "issuing": Reuse("full, no reuse by the outbound end", FULL, False, True),
         "resumed": Reuse("resumed", RESUMED, True, True)}


def plural(count, noun):
    return f"{count} {noun}{'s' if count > 1 else ''}"


def size_text(size):
    return f"{size // 1024} KiB" if size else "empty"


def rows():
    """{key: Row}, in the order of the table."""
    found = {}
    for way, text in (("up", "bulk to the backend"), ("down", "bulk from the backend")):
        for streams in (1, 4, 64):
            found[f"bulk-{way}-{streams}"] = Row(f"{text}, {plural(streams, 'stream')}", "CPU s/GB", BULK)
    for count, size in KEEPALIVE:
        found[f"keepalive-{count}-{size}"] = Row(
            f"keep-alive request, {plural(count, 'connection')}, {size_text(size)}", "CPU us", REQUEST)
    for kind, reuse in REUSE.items():
        found[f"connections-{kind}"] = Row(f"new connection, {reuse.label}", "CPU us", reuse.bar)
    for kind, reuse in REUSE.items():
        found[f"resumption-{kind}"] = Row(f"handshakes that resumed, {reuse.label}", "%", has_ratio=False)
    for text, bar in (("p50", None), ("p99", Bar(1.0, 0.8)), ("p99.9", None)):
        found[f"open-{text}"] = Row(f"open loop at half load, {text}", "us", bar)
    found["open-cpu"] = Row("open loop at half load, per request", "CPU us")
    found["idle-1000"] = Row("idle connection, 1,000 of them, both proxies", "KiB", Bar(14, 10, False))
    found["idle-8000"] = Row("idle connection, 8,000 of them, both proxies", "KiB", Bar(14, 10, False))
    found["base"] = Row("base memory of both proxies", "MiB", Bar(6, 4, False))
    found["burst"] = Row("memory after 8,000 closed, to before", "times", Bar(1.2, 1.2, False), False)
    found["slow-without"] = Row("999 connections, p99", "us")
    found["slow-with"] = Row("999 connections beside a slow reader, p99", "us")
    found["slow-memory"] = Row("memory that the slow reader takes", "KiB", has_ratio=False)
    found["instructions-request"] = Row("instructions per request (1 KiB)", "1000")
    found["instructions-megabyte"] = Row("instructions per MB", "1000")
    found["wall-bulk-down-4"] = Row("bulk from the backend, 4 streams", "GB/s of wall clock")
    found["wall-keepalive-32-1024"] = Row("keep-alive, 32 connections, 1 KiB", "requests/s of wall clock")
    found["wall-connections-full"] = Row("new connections, full", "1/s of wall clock")
    return found


class Measured:
    """One load's figures with the processor time that the pair took for it."""

    def __init__(self, pair, mode, **options):
        self.before = None
        self.figures = pair.load.run(mode, at_begin=lambda: self._begin(pair), port=pair.outbound, **options)
        self.cpu_us = (pair.group.cpu_seconds() - self.before) * 1e6
        if self.figures.get("failures"):
            raise Failed(f"{mode}: {self.figures['failures']} connections failed")

    def _begin(self, pair):
        self.before = pair.group.cpu_seconds()


def bulk(bench, start, way, streams):
    with start() as pair:
        extra = {"upload": True} if way == "up" else {}
        m = Measured(pair, "bulk", connections=streams, seconds=bench.seconds, **extra)
    gigabytes = m.figures["bytes"] / 1e9
    yield f"bulk-{way}-{streams}", m.cpu_us / 1e6 / gigabytes
    yield f"wall-bulk-{way}-{streams}", gigabytes / m.figures["seconds"]


def keepalive(bench, start, count, size):
    with start() as pair:
        m = Measured(pair, "keepalive", connections=count, bytes=size, seconds=bench.seconds)
    yield f"keepalive-{count}-{size}", m.cpu_us / m.figures["answers"]
    yield f"wall-keepalive-{count}-{size}", m.figures["answers"] / m.figures["seconds"]


def connections(bench, start, kind):
    with start(resumes=REUSE[kind].resumes, tickets=REUSE[kind].tickets) as pair:
        m = Measured(pair, "churn", connections=CHURN_CONNECTIONS, bytes=1024, seconds=bench.seconds)
    yield f"connections-{kind}", m.cpu_us / m.figures["answers"]
    yield f"wall-connections-{kind}", m.figures["answers"] / m.figures["seconds"]


def resumption(bench, start, kind):
    """Untimed: an onlooker between the proxies reads the hellos."""
    with start(resumes=REUSE[kind].resumes, tickets=REUSE[kind].tickets,
               onlooker=handshakes.Onlooker) as pair:
        pair.load.run("churn", port=pair.outbound, connections=CHURN_CONNECTIONS, bytes=1024,
                      seconds=min(bench.seconds, 2))
        count = pair.onlooker.count
    if count.answered == 0:
        return  # no TLS
    groups = ", ".join(f"{name} {number}" for name, number in count.groups.most_common())
    bench.note(f"{pair.name}, {kind}: {count.resumed} of {count.answered} handshakes resumed "
               f"({count.offered} offered, {count.retried} retried); key exchange: {groups}")
    yield f"resumption-{kind}", 100 * count.share()


def open_loop(bench, start):
    """Half of what nginx's pair sustains, measured in the same repeat."""
    rate = bench.half_load()
    with start() as pair:
        m = Measured(pair, "open", connections=OPEN_CONNECTIONS, bytes=1024, rate=rate,
                     seconds=2 * bench.seconds)
    yield "open-p50", m.figures["p50_us"]
    yield "open-p99", m.figures["p99_us"]
    yield "open-p99.9", m.figures["p999_us"]
    yield "open-cpu", m.cpu_us / max(1, m.figures["answers"])


def idle(bench, start, count):
    """Base memory, memory of idle connections, memory when they are gone: one pair's life."""
    with start() as pair:
        pair.load.run("keepalive", port=pair.outbound, connections=1, bytes=1024, count=10)
        time.sleep(SETTLE_SECONDS)
        base = pair.group.pss_kib()
        held = pair.load.start("hold", port=pair.outbound, connections=count, bytes=1024,
                               patience=bench.patience(count))
        try:
            pair.load.read(held, "begin", bench.patience(count) + 10)
            time.sleep(SETTLE_SECONDS)
            full = pair.group.pss_kib()
            if pair.load.end(held)["failures"]:
                raise Failed("connections failed")
        finally:
            if held in pair.load.live:
                pair.load.drop(held)
        time.sleep(AFTER_BURST_SECONDS if count >= 8000 else 0)
        after = pair.group.pss_kib()
    yield f"idle-{count}", (full - base) / count
    yield "base", base / 1024
    if count >= 8000:
        yield "burst", after / base


def slow_reader(bench, start):
    rate = bench.half_load() / 2
    with start() as pair:
        def others():
            return Measured(pair, "open", connections=SLOW_CONNECTIONS - 1, bytes=1024, rate=rate,
                            seconds=bench.seconds).figures["p99_us"]
        pair.load.run("keepalive", port=pair.outbound, connections=1, bytes=1024, count=10)
        time.sleep(SETTLE_SECONDS)
        before = pair.group.pss_kib()
        slow = pair.load.start("slow", port=pair.outbound)
        try:
            pair.load.read(slow, "begin", 20)
            time.sleep(SETTLE_SECONDS)  # all buffers on the way fill up
            memory = pair.group.pss_kib() - before
            beside = others()
            pair.load.end(slow)
        finally:
            if slow in pair.load.live:
                pair.load.drop(slow)
        without = others()
    yield "slow-without", without
    yield "slow-with", beside
    yield "slow-memory", memory


def instructions(bench, start):
    """What a request and a megabyte take in user space, as callgrind counts: the difference of a long run and
    a short one."""
    def total(**work):
        with start(wrapper=bench.callgrind) as pair:
            pair.load.run(port=pair.outbound, patience=120, **work)
            pair.group.stop()
            found = [int(re.search(r"^(?:totals|summary): (\d+)", path.read_text(), re.MULTILINE).group(1))
                     for path in pair.site.folder.glob("callgrind.*") if path.stat().st_size]
        if not found:
            raise Failed("callgrind wrote nothing")
        return sum(found)

    request = {"mode": "keepalive", "connections": 8, "bytes": 1024}
    megabyte = {"mode": "bulk", "connections": 1}
    few, many = 400, 1600
    yield "instructions-request", (total(count=many, **request) - total(count=few, **request)) / (many - few) / 1e3
    few, many = 20, 80
    yield "instructions-megabyte", ((total(count=many * 10**6, **megabyte) - total(count=few * 10**6, **megabyte))
                                    / (many - few) / 1e3)


@dataclasses.dataclass
class Case:
    name: str
    run: object          # (bench, start) -> rows
    is_quick: bool       # part of --quick
    is_once: bool = False  # its figures do not vary: once is enough


def cases():
    found = []
    for way in ("up", "down"):
        for streams in (1, 4, 64):
            found.append(Case(f"bulk-{way}-{streams}", lambda b, s, w=way, n=streams: bulk(b, s, w, n),
                              streams == 4))
    for count, size in KEEPALIVE:
        found.append(Case(f"keepalive-{count}-{size}", lambda b, s, c=count, z=size: keepalive(b, s, c, z),
                          (count, size) == (32, 1024)))
    for kind in REUSE:
        found.append(Case(f"connections-{kind}", lambda b, s, k=kind: connections(b, s, k), True))
    for kind in REUSE:
        found.append(Case(f"resumption-{kind}", lambda b, s, k=kind: resumption(b, s, k), True, True))
    found.append(Case("open", open_loop, True))
    found.append(Case("idle-1000", lambda b, s: idle(b, s, 1000), True))
    found.append(Case("idle-8000", lambda b, s: idle(b, s, 8000), False))
    found.append(Case("slow-reader", slow_reader, False))
    found.append(Case("instructions", instructions, False, True))
    return found
