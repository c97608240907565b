#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remora beside its peers on one machine: see README.md in this folder.

    tests/bench/run.py                        everything
    tests/bench/run.py --quick                the main figures, about three minutes
    tests/bench/run.py --only nginx,remora --cases bulk,keepalive-32 --repeat 5
"""
import argparse
import contextlib
import datetime
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

REPO = pathlib.Path(__file__).resolve().parents[2]
BUILD = REPO / "build" / "release"
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SIDECAR = BUILD / "sidecar" / "remora-sidecar"


class Pair:
    """A running pair of proxies."""

    def __init__(self, name, site, group, load, onlooker):
        self.name, self.site, self.group, self.load, self.onlooker = name, site, group, load, onlooker
        self.outbound = site.outbound


class Bench:
    """One run of the suite."""

    def __init__(self, folder, load, options):
        self.folder, self.load, self.options = folder, load, options
        self.seconds = options.seconds
        self.values, self.notes, self.failed = {}, [], set()
        self.rate = None
        self.pair_count = 0
        backend = load.start("backend", port=0)
        self.backend = load.read(backend, "begin", 10)["port"]

    @property
    def callgrind(self):
        if shutil.which("valgrind") is None:
            raise processes.Failed("valgrind is not installed")
        return f"valgrind --tool=callgrind --trace-children=yes --callgrind-out-file={{folder}}/callgrind.%p"

    @staticmethod
    def patience(connections):
        return 30 + connections * 0.01

    def note(self, text):
        self.notes.append(text)
        print(f"# {text}", file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def pair(self, name, resumes=True, tickets=True, onlooker=None, wrapper=""):
        """Starts a pair in a folder of its own and ends it."""
        self.pair_count += 1
        folder = self.folder / f"pair-{self.pair_count}"
        folder.mkdir(mode=0o755)
        outbound, inbound = free_port(), free_port()
        watcher = onlooker(inbound) if onlooker else None
        site = proxies.Site(certificates=self.folder, folder=folder, outbound=outbound,
                            tunnel=watcher.port if watcher else inbound, inbound=inbound,
                            backend=self.backend, resumes=resumes, tickets=tickets,
                            wrapper=wrapper.format(folder=folder))
        group = processes.Group(folder)
        try:
            for argv, env in proxies.PEERS[name].commands(site):
                group.start(argv, env)
            group.wait_for_ports(outbound, inbound, seconds=60 if wrapper else 20)
            yield Pair(name, site, group, self.load, watcher)
        except processes.Failed as error:
            raise processes.Failed(f"{error}; the proxies' last words: {group.last_words()}") from None
        finally:
            group.stop()
            if watcher:
                watcher.close()
            if not self.options.keep:
                shutil.rmtree(folder, ignore_errors=True)

    def half_load(self):
        """Requests per second: half of what nginx's pair (or else the first peer's) sustains now."""
        if self.options.rate:
            return self.options.rate
        if self.rate is None:
            name = "nginx" if "nginx" in self.options.peers else self.options.peers[0]
            with self.pair(name) as pair:
                figures = self.load.run("keepalive", port=pair.outbound, connections=64, bytes=1024,
                                        seconds=self.seconds)
            self.rate = figures["answers"] / figures["seconds"] / 2
            self.note(f"half load: {self.rate:.0f} requests/s ({name})")
        return self.rate

    def measure(self, case, name, repeat):
        if (case.name, name) in self.failed:
            return
        try:
            for key, value in case.run(self, lambda **how: self.pair(name, **how)):
                self.values.setdefault(key, {}).setdefault(name, {})[repeat] = value
        except processes.Failed as error:
            self.failed.add((case.name, name))
            self.note(f"{name} failed {case.name}, and is not asked again: {error}")

    def run(self, chosen):
        for repeat in range(self.options.repeat):
            self.rate = None
            for case in chosen:
                if case.is_once and repeat > 0:
                    continue
                print(f"# {repeat + 1}/{self.options.repeat} {case.name}", file=sys.stderr, flush=True)
                for name in self.options.peers:
                    self.measure(case, name, repeat)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def build():
    subprocess.run(["cmake", "--preset", "release", "-DREMORA_TESTS=ON"], cwd=REPO, check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", "--preset", "release", "--", "-j", str(os.cpu_count()), "remora-sidecar",
                    "bench_load"], cwd=REPO, check=True, stdout=subprocess.DEVNULL)


def choose_peers(wanted):
    chosen = []
    for name in wanted:
        reason = proxies.missing(name)
        if reason:
            print(f"# {name}: left out, {reason}", file=sys.stderr)
        else:
            chosen.append(name)
    for name in proxies.ONLY_NAMED:
        there = "installed, but" if shutil.which(name) else "not installed;"
        print(f"# {name}: left out, {there} this suite has no way to start it", file=sys.stderr)
    return chosen


def choose_cases(options):
    known = cases.cases()
    if options.cases:
        wanted = options.cases.split(",")
        for one in wanted:
            if not any(case.name.startswith(one) for case in known):
                raise SystemExit(f"run.py: no case begins with '{one}': {', '.join(c.name for c in known)}")
        return [case for case in known if any(case.name.startswith(one) for one in wanted)]
    return [case for case in known if case.is_quick or not options.quick]


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(proxies.PEERS), help="peers, by comma")
    parser.add_argument("--cases", help="cases, by comma; a beginning stands for all that have it")
    parser.add_argument("--repeat", type=int, help="interleaved repeats (5; with --quick 1)")
    parser.add_argument("--seconds", type=float, help="of each measurement (4; with --quick 1)")
    parser.add_argument("--rate", type=float, help="requests/s of the open loop, instead of half load")
    parser.add_argument("--quick", action="store_true", help="the main figures once, about three minutes")
    parser.add_argument("--json", type=pathlib.Path, help="write everything here")
    parser.add_argument("--svg", type=pathlib.Path, help="draw here")
    parser.add_argument("--no-build", action="store_true", help="take build/release as it is")
    parser.add_argument("--keep", action="store_true", help="keep the peers' folders")
    options = parser.parse_args()
    unknown = set(options.only.split(",")) - proxies.PEERS.keys()
    if unknown:
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}")
    options.repeat = options.repeat or (1 if options.quick else 5)
    options.seconds = options.seconds or (1 if options.quick else 4)
    return options


def machine():
    model = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return {"processors": os.cpu_count(), "model": model[0] if model else "unknown", "kernel": os.uname().release}


def report(bench, options, began, loads):
    summary = reporting.summarize(bench.values)
    versions = {name: proxies.version(name, SIDECAR) for name in options.peers}
    facts = {"began": began, "ended": now(), "load_average": {"before": loads, "after": os.getloadavg()},
             "machine": machine(), "repeat": options.repeat, "seconds": options.seconds, "versions": versions}
    print(f"\n{began} to {facts['ended']}; {facts['machine']['processors']} x {facts['machine']['model']}, "
          f"Linux {facts['machine']['kernel']}; load average {loads[0]:.2f} before; medians of {options.repeat} "
          f"interleaved repeats of {options.seconds:g} s; (ratio to nginx); "
          + ", ".join(f"{name} {text}" for name, text in versions.items()) + "\n")
    print(reporting.table(summary, options.peers))
    print("\n" + "\n".join(f"- {note}" for note in bench.notes))
    if options.json:
        options.json.write_text(json.dumps({**facts, "rows": summary, "notes": bench.notes}, indent=1) + "\n")
    if options.svg:
        options.svg.write_text(reporting.svg(summary, options.peers))


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def on_signal(number, frame):
    for each in ENDING_SIGNALS:
        signal.signal(each, signal.SIG_IGN)  # cleaning up is not interrupted
    raise KeyboardInterrupt


def main():
    options = parse()
    chosen = choose_cases(options)
    options.peers = choose_peers(options.only.split(","))
    if not options.no_build:
        build()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for number in ENDING_SIGNALS:
        signal.signal(number, on_signal)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="remora-bench-"))
    load = processes.Load(BUILD / "tests" / "bench" / "bench_load")
    status = 0
    try:
        folder.chmod(0o755)  # hitch reads as nobody
        proxies.write_certificates(folder)
        began, loads = now(), os.getloadavg()
        bench = Bench(folder, load, options)
        try:
            bench.run(chosen)
        except KeyboardInterrupt:
            status = 130
            bench.note("interrupted: what follows is incomplete")
        report(bench, options, began, loads)
    finally:
        load.stop()
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    return status


if __name__ == "__main__":
    venv = REPO / ".deps" / "venv" / "bin" / "python"
    if venv.exists() and pathlib.Path(sys.prefix) != venv.parents[1]:
        os.execv(venv, [str(venv), *sys.argv])
    sys.dont_write_bytecode = True
    from suite import cases, processes, proxies
    from suite import report as reporting
    sys.exit(main())
