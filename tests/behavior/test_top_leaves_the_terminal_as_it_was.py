# SPDX-License-Identifier: GPL-3.0-or-later
"""`remora top` on a terminal of its own: what it draws, what its keys do, and that the terminal is as before
however it ends."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from mesh import REMORA
from pair import echo_pair
from tunnel import receive_exactly

ENTER, LEAVE = b"\x1b[?1049h\x1b[?25l", b"\x1b[?25h\x1b[?1049l"
WAIT_S = 20


class Screen:
    """`remora top` as the foreground job of a pseudo terminal."""

    def __init__(self, sidecar, *words, columns=120, rows=24, under=()):
        self.master, slave = pty.openpty()
        self.output = b""
        self.resize(columns, rows)
        self.before = termios.tcgetattr(slave)
        self.slave = slave  # kept, so that the terminal outlives the job

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.child = subprocess.Popen(
            [*under, REMORA, "top", "--sidecar-socket", sidecar.local_socket, "--interval", "200ms", *words],
            stdin=slave, stdout=slave, stderr=slave, preexec_fn=own_terminal)

    def resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys):
        os.write(self.master, keys)

    def wait(self, condition, what):
        """Reads until `condition` holds for the last whole drawing."""
        end = time.monotonic() + WAIT_S
        while not condition(self.picture()):
            left = end - time.monotonic()
            ready, _, _ = select.select([self.master], [], [], max(left, 0))
            assert ready, f"timed out waiting for {what}; the screen is\n{self.picture()}"
            self.output += os.read(self.master, 65536)

    def wait_output(self, sequence):
        end = time.monotonic() + WAIT_S
        while sequence not in self.output:
            ready, _, _ = select.select([self.master], [], [], max(end - time.monotonic(), 0))
            assert ready, f"{sequence} never came: {self.output[-300:]}"
            self.output += os.read(self.master, 65536)

    def picture(self):
        """The last drawing that is whole, as lines without escapes."""
        whole = self.output.split(b"\x1b[J")
        last = whole[-2].rsplit(b"\x1b[H", 1)[-1] if len(whole) > 1 else b""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", last.decode()).replace("\r\n", "\n")

    def ended(self):
        """The exit status, once the terminal was given back."""
        self.wait_output(LEAVE)
        status = self.child.wait(WAIT_S)
        assert termios.tcgetattr(self.slave) == self.before
        assert self.output.count(ENTER) == self.output.count(LEAVE)
        return status

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def client(mesh, authority):
    """A sidecar with two connections that carry bytes."""
    pair, _ = echo_pair(mesh, authority=authority)
    connections = [pair.connect(), pair.connect()]
    for amount, connection in zip((100, 2000), connections):
        connection.sendall(b"x" * amount)
        assert len(receive_exactly(connection, amount)) == amount
    pair.client.connections = connections
    yield pair.client
    for connection in connections:
        connection.close()


@pytest.fixture
def screen(client):
    opened = Screen(client)
    opened.wait(lambda picture: "2 connections" in picture, "a first drawing")
    yield opened
    opened.close()


def rows(picture):
    return [line for line in picture.splitlines() if line.startswith("outbound ")]


def sent(picture):
    return [line.split()[7] for line in rows(picture)]


def test_it_draws_sorts_and_filters(screen, client):
    picture = screen.picture()
    assert picture.splitlines()[0].startswith("remora-sidecar ") and "by rate" in picture
    assert len(rows(picture)) == 2
    screen.type(b"b")
    screen.wait(lambda p: "by bytes" in p and sent(p) == ["2.0k", "100"], "the order by bytes")
    screen.type(b"r")
    screen.wait(lambda p: "reversed" in p and sent(p) == ["100", "2.0k"], "the reverse order")
    screen.type(b"/nothing-has-this")
    screen.wait(lambda p: "filter: nothing-has-this_" in p and not rows(p), "an empty list")
    screen.type(b"\x7f" * 20 + b"sa/web\r")
    screen.wait(lambda p: "with sa/web" in p and len(rows(p)) == 2, "the filter to match both")
    screen.type(b"?")
    screen.wait(lambda p: "quit" in p and not rows(p), "the keys")
    screen.type(b"x ")
    screen.wait(lambda p: "paused" in p and len(rows(p)) == 2, "a pause")
    screen.type(b" ")
    screen.wait(lambda p: "paused" not in p, "the end of the pause")
    for connection in client.connections:
        connection.sendall(b"y" * 50_000)
    screen.wait(lambda p: any(line.split()[5] != "0" for line in rows(p)), "a rate")
    screen.type(b"q")
    assert screen.ended() == 0


def test_it_follows_the_size(screen):
    screen.resize(60, 8)
    os.kill(screen.child.pid, signal.SIGWINCH)
    screen.wait(lambda p: "REMOTE" not in p and "PEER" in p and all(len(line) <= 60 for line in p.splitlines()),
                "a narrow drawing")
    screen.resize(100, 7)
    screen.wait(lambda p: len(p.splitlines()) <= 7 and len(rows(p)) == 1, "one row of room")
    first = rows(screen.picture())[0]
    screen.type(b"\x1b[B")
    screen.wait(lambda p: rows(p) and rows(p)[0].split()[5:7] != first.split()[5:7], "the second row")
    screen.type(b"q")
    assert screen.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGSEGV,
                                    signal.SIGABRT])
def test_a_signal_gives_the_terminal_back(screen, number):
    os.kill(screen.child.pid, number)
    assert screen.ended() == -number


def test_control_c_gives_the_terminal_back(screen):
    screen.type(b"\x03")
    assert screen.ended() == -signal.SIGINT


def test_a_suspended_one_lends_the_terminal(client):
    """Under a shell with job control, which tells the terminal's settings before and meanwhile."""
    screen = Screen(client, under=["sh", "-mc", 'stty -g; "$@"; stty -g; fg', "sh"])
    try:
        screen.wait(lambda picture: "2 connections" in picture, "a first drawing")
        screen.type(b"\x1a")
        screen.wait_output(LEAVE)
        screen.wait(lambda _: screen.output.count(ENTER) == 2, "the shell to go on with it")
        settings = re.findall(rb"\r?\n?([0-9a-f:]{80,})\r\n", screen.output)
        assert len(settings) == 2 and settings[0] == settings[1]
        screen.output = ENTER + screen.output.split(ENTER)[2]
        screen.wait(lambda picture: "2 connections" in picture, "a drawing after the stop")
        screen.type(b"q")
        assert screen.ended() == 0
    finally:
        screen.close()


def test_it_outlives_the_sidecar(screen, client):
    client.process.stop(signal.SIGKILL)
    screen.wait(lambda p: "cannot be reached" in p and len(rows(p)) == 2, "the sentence above what was last seen")
    client.start()
    screen.wait(lambda p: "0 connections" in p and "ready" in p, "the sidecar to be back")
    screen.type(b"q")
    assert screen.ended() == 0


def test_without_a_terminal_it_is_one_picture(client):
    words = [REMORA, "top", "--sidecar-socket", client.local_socket, "--sort", "bytes"]
    result = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT_S)
    assert (result.returncode, result.stderr) == (0, "") and "\x1b" not in result.stdout
    assert "2 connections: 0 inbound, 2 outbound, 0 edge" in result.stdout
    assert [line.split()[7] for line in rows(result.stdout)] == ["2.0k", "100"]
    result = subprocess.run([*words, "--json"], capture_output=True, text=True, timeout=WAIT_S)
    assert [c["sent_bytes"] for c in json.loads(result.stdout)["connections"]] == [2000, 100]
    result = subprocess.run([*words, "--interval", "1ms"], capture_output=True, text=True, timeout=WAIT_S)
    assert result.returncode == 2 and "200ms to 1h" in result.stderr
