# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that are started, measured from /proc, and ended with everything they have started."""
import json
import os
import pathlib
import signal
import subprocess
import threading
import time

TICKS = os.sysconf("SC_CLK_TCK")
STOP_SECONDS = 5


class Failed(Exception):
    """Something could not be measured; the text says what."""


def tree(pid):
    """`pid` and all that descends from it."""
    found = [pid]
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            children = pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text()
            for child in children.split():
                found += tree(int(child))
    except (FileNotFoundError, ProcessLookupError):
        pass  # it has ended meanwhile
    return found


def is_listening(port):
    wanted = f":{port:04X}"
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(wanted) and fields[3] == "0A":
            return True
    return False


class Group:
    """Some processes, each in a session of its own, with their output in files of `folder`."""

    def __init__(self, folder):
        self.folder, self.processes = pathlib.Path(folder), []

    def start(self, argv, env=None):
        log = self.folder / f"{len(self.processes)}.log"
        with open(log, "wb") as output:
            self.processes.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output,
                                                   stderr=subprocess.STDOUT, start_new_session=True,
                                                   env={**os.environ, **(env or {})}))

    def wait_for_ports(self, *ports, seconds=20):
        deadline = time.monotonic() + seconds
        while not all(is_listening(port) for port in ports):
            if any(process.poll() is not None for process in self.processes):
                raise Failed("a proxy ended at once")
            if time.monotonic() > deadline:
                raise Failed("the proxies never listened")
            time.sleep(0.02)

    def last_words(self):
        text = " ".join(log.read_text(errors="replace") for log in sorted(self.folder.glob("*.log")))
        return " ".join(text.split())[-200:] or "(it said nothing)"

    def pids(self):
        return sorted({pid for process in self.processes for pid in tree(process.pid)})

    def cpu_seconds(self):
        """User and system time of all processes so far, threads that have ended included."""
        total = 0
        for pid in self.pids():
            try:
                fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def pss_kib(self):
        """Memory of all processes; pages that several share count once."""
        total = 0
        for pid in self.pids():
            try:
                for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
        return total

    def stop(self):
        for process in self.processes:
            self._signal(process, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in self.processes:
            try:
                process.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
            self._signal(process, signal.SIGKILL)  # and what it has left behind
            process.wait()
        self.processes = []

    @staticmethod
    def _signal(process, number):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass


class Load:
    """The load generator and backend (tests/bench/load)."""

    def __init__(self, program):
        self.program = str(program)
        self.live = []

    def start(self, mode, **options):
        argv = [self.program, mode]
        for name, value in options.items():
            argv += [f"--{name}"] if value is True else [f"--{name}", str(value)]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, start_new_session=True)
        self.live.append(process)
        return process

    def read(self, process, event, seconds):
        """The figures of the line that says `event`."""
        watchdog = threading.Timer(seconds, process.kill)
        watchdog.start()
        try:
            line = process.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            raise Failed(process.stderr.read().strip() or f"the load took more than {seconds:.0f} s")
        figures = json.loads(line)
        if figures.pop("event") != event:
            raise Failed(f"the load said: {line.strip()}")
        return figures

    def end(self, process, seconds=30):
        """Lets go of a load that runs until its standard input ends."""
        process.stdin.close()
        figures = self.read(process, "end", seconds)
        self.drop(process)
        return figures

    def drop(self, process):
        if process.poll() is None:
            process.terminate()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()
        self.live.remove(process)

    def run(self, mode, at_begin=None, patience=60, **options):
        """Runs one measurement; `at_begin` is called when it begins."""
        process = self.start(mode, patience=patience, **options)
        try:
            self.read(process, "begin", patience + 10)
            if at_begin:
                at_begin()
            limit = 600 if "count" in options else options["seconds"] + 30
            return self.read(process, "end", limit)
        finally:
            self.drop(process)

    def stop(self):
        for process in list(self.live):
            self.drop(process)
