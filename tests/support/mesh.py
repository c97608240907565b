# SPDX-License-Identifier: GPL-3.0-or-later
"""A small real mesh for tests: the built programs, real files, real sockets on loopback.

Every process gets a private folder; ports are chosen by the kernel; nothing sleeps: each wait is for a
condition with a deadline, and a failure shows the logs.
"""
import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from signal import SIGTERM

REPO = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("REMORA_BUILD_DIR", REPO / "build" / "ci"))
SIDECAR = BUILD / "sidecar" / "remora-sidecar"
CONTROL = BUILD / "control" / "remora-control"
REMORA = BUILD / "cli" / "remora"
TRUST_DOMAIN = "example.org"


def identity(name, namespace="default"):
    return f"spiffe://{TRUST_DOMAIN}/ns/{namespace}/sa/{name}"


_reservations = []  # sockets that keep the ports we gave away ours


def free_port():
    """A port of 127.0.0.1 for one of our programs. It stays reserved: a bound socket that never listens
    keeps the kernel from choosing the port for anybody else, while a listener with SO_REUSEADDR may have
    it."""
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(("127.0.0.1", 0))
    _reservations.append(probe)
    return probe.getsockname()[1]


def wait_until(condition, what, timeout=45.0, process=None):
    """Polls `condition` until it is true; the value it gave. Fails with `what` and the process's log."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if process is not None and process.poll() is not None:
            raise AssertionError(f"{what}: {process.name} ended with {process.poll()}\n{process.log()}")
        if time.monotonic() > end:
            log = "" if process is None else "\n" + process.log()
            raise AssertionError(f"timed out waiting for {what}{log}")
        time.sleep(0.02)


def http_get(address, path, timeout=5):
    """(status, body) of a plain GET."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Process:
    """A child process whose output goes to files; ended by its own pid."""

    def __init__(self, name, argv, folder, env=None, preexec=None):
        self.name = name
        self.argv = [str(word) for word in argv]
        self.out_path = pathlib.Path(folder) / f"{name}.out"
        self.err_path = pathlib.Path(folder) / f"{name}.err"
        full_env = {**os.environ, **(env or {})}
        with open(self.out_path, "ab") as out, open(self.err_path, "ab") as err:
            self.child = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                          env=full_env, preexec_fn=preexec)

    @property
    def pid(self):
        return self.child.pid

    def poll(self):
        return self.child.poll()

    def stderr(self):
        return self.err_path.read_text(errors="replace")

    def stdout(self):
        return self.out_path.read_text(errors="replace")

    def events(self):
        """The structured log lines on standard error."""
        return parse_lines(self.stderr())

    def access(self):
        """The access log's lines on standard output."""
        return parse_lines(self.stdout())

    def has_event(self, event, **fields):
        return any(line.get("event") == event and
                   all(str(value) in str(line.get(key, "")) for key, value in fields.items())
                   for line in self.events())

    def wait_event(self, event, timeout=45.0, **fields):
        wait_until(lambda: self.has_event(event, **fields), f"{self.name} to log {event} {fields}",
                   timeout, self)

    def log(self):
        # Moves of states are many (each poll of the health port makes some), and rarely what is looked for.
        told = "\n".join(line for line in self.stderr().splitlines() if '"event":"state"' not in line)
        return f"--- {self.name} stderr\n{told[-6000:]}\n--- {self.name} stdout\n{self.stdout()[-3000:]}"

    def signal(self, number):
        self.child.send_signal(number)

    def stop(self, number=SIGTERM, timeout=40):
        """Ends the process; its exit status."""
        if self.child.poll() is None:
            self.child.send_signal(number)
            try:
                self.child.wait(timeout)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
                raise AssertionError(f"{self.name} did not end on signal {number}\n{self.log()}")
        return self.child.returncode


def parse_lines(text):
    lines = []
    for line in text.splitlines():
        if line.startswith("{"):
            with contextlib.suppress(json.JSONDecodeError):
                lines.append(json.loads(line))
    return lines


def check_clean(process):
    """Sanitizer reports and aborts are failures wherever they come."""
    text = process.stderr()
    for mark in ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:",
                 "WARNING: ThreadSanitizer"):
        assert mark not in text, f"{process.name}: {mark}\n{text[-8000:]}"


def write_yaml(path, text):
    path = pathlib.Path(path)
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    os.replace(temporary, path)
    return path


class Control:
    """A control plane on a fresh or given data folder."""

    def __init__(self, folder, extra="", test_lifetimes=True, lifetime="1h", port=None, init=True,
                 env=None, name="control", log_level="debug"):
        self.folder = pathlib.Path(folder)
        self.name = name
        self.data = self.folder / f"{name}-data"
        self.port = port or free_port()
        self.health = free_port()
        self.admin_socket = self.folder / f"{name}.sock"
        self.env = env
        self.config = self.folder / f"{name}.yaml"
        self.process = None
        # Rates are lifted so that tests may be quick; the limits have tests of their own.
        self.write_config(f"""
trust_domain: {TRUST_DOMAIN}
data_dir: {self.data}
listen: 127.0.0.1:{self.port}
dns_names: [localhost]
admin_socket: {{path: {self.admin_socket}}}
health: 127.0.0.1:{self.health}
test_lifetimes: {'true' if test_lifetimes else 'false'}
certificates: {{lifetime: {lifetime}}}
log: {{level: {log_level}, format: json}}
drain: 2s
""" + (extra or "limits: {attestations_per_second: 1000, attestation_burst: 1000, "
                "signings_per_second: 10000, signing_burst: 10000}\n"))
        if init:
            subprocess.run([CONTROL, "init", "--config", self.config], check=True, capture_output=True,
                           text=True)

    def write_config(self, text):
        write_yaml(self.config, text)

    def start(self, ready=True):
        self.process = Process(self.name, [CONTROL, "serve", "--config", self.config], self.folder,
                               env=self.env)
        if ready:
            wait_until(self.is_ready, "the control plane", process=self.process)
        return self

    def is_ready(self):
        try:
            return http_get(f"127.0.0.1:{self.health}", "/healthz/ready", 1)[0] == 200
        except OSError:
            return False

    def stop(self, number=SIGTERM):
        status = self.process.stop(number)
        check_clean(self.process)
        return status

    @property
    def bundle(self):
        return self.data / "bundle.pem"

    def remora(self, *words, check=True):
        """Runs the operator's command; its standard output."""
        result = subprocess.run([REMORA, "--socket", self.admin_socket, *[str(w) for w in words]],
                                capture_output=True, text=True, timeout=30)
        if check and result.returncode != 0:
            raise AssertionError(f"remora {words}: {result.returncode}\n{result.stdout}\n{result.stderr}\n"
                                 f"{self.process.log() if self.process else ''}")
        return result.stdout if check else result

    def json(self, *words):
        return json.loads(self.remora(*words, "--json"))

    def create_service(self, name, port, *identities, allow=()):
        words = ["service", "create", name, "--port", port]
        for one in identities:
            words += ["--identity", one]
        for one in allow:
            words += ["--allow", one]
        return self.remora(*words)

    def create_token(self, who, *services, path=None, ttl=None):
        words = ["token", "create", "--identity", who]
        for one in services:
            words += ["--service", one]
        if ttl:
            words += ["--ttl", ttl]
        token = self.json(*words)["token"]
        if path is not None:
            path = pathlib.Path(path)
            path.write_text(token + "\n")
            path.chmod(0o600)
        return token


class Sidecar:
    """One sidecar. `services` are (name, port, target); `outbound` are (service,) or full YAML text."""

    def __init__(self, folder, name, control=None, token=None, services=(), outbound=(), edges=(),
                 state_dir=None, identity_yaml=None, extra="", workers=1, env=None, access="all",
                 tunnel=None, allow=None, argv_prefix=(), local=None):
        self.folder = pathlib.Path(folder)
        self.name = name
        self.local_socket = self.folder / f"{name}.sock"
        self.local = local or f"listen: 'unix:{self.local_socket}'"
        self.env = env
        self.argv_prefix = list(argv_prefix)
        self.tunnel = tunnel or free_port()
        self.health = free_port()
        self.metrics_port = free_port()
        self.config = self.folder / f"{name}.yaml"
        self.services, self.edges, self.outbound = list(services), list(edges), list(outbound)
        self.ports = {entry[0]: free_port() for entry in self.outbound if not isinstance(entry, str)}
        self.allow = allow or {}
        if identity_yaml is None:
            identity_yaml = (f"  control:\n    address: 127.0.0.1:{control.port}\n"
                             f"    trust_domain: {TRUST_DOMAIN}\n")
            if token is not None:
                identity_yaml += f"    join_token_file: {token}\n"
            if state_dir is not None:
                identity_yaml += f"    state_dir: {state_dir}\n"
        self.identity_yaml = identity_yaml
        self.extra, self.workers, self.access_mode = extra, workers, access
        self.process = None
        self.write_config()

    def yaml(self):
        text = f"identity:\n{self.identity_yaml}"
        text += f"inbound:\n  listen: 127.0.0.1:{self.tunnel}\n"
        if self.services:
            text += "  services:\n"
            for name, port, target in self.services:
                text += f"    - {{name: {name}, port: {port}, target: '{target}'"
                if name in self.allow:
                    text += f", allow: {json.dumps(self.allow[name])}"
                text += "}\n"
        if self.edges:
            text += "  edges:\n"
            for port, service in self.edges:
                text += f"    - {{listen: 127.0.0.1:{port}, service: {service}}}\n"
        if self.outbound:
            text += "outbound:\n"
            for entry in self.outbound:
                text += (f"  - {entry}\n" if isinstance(entry, str) else
                         f"  - {{listen: 127.0.0.1:{self.ports[entry[0]]}, service: {entry[0]}}}\n")
        text += (f"health: 127.0.0.1:{self.health}\nmetrics: 127.0.0.1:{self.metrics_port}\n"
                 f"workers: {self.workers}\nlocal: {{{self.local}}}\n"
                 f"log: {{level: debug, format: json, access: {self.access_mode}}}\n")
        return text + self.extra

    def write_config(self):
        write_yaml(self.config, self.yaml())

    def start(self, ready=True, preexec=None):
        self.process = Process(self.name, [*self.argv_prefix, SIDECAR, "--config", self.config], self.folder,
                               env=self.env, preexec=preexec)
        if ready:
            self.wait_ready()
        return self

    def ready(self):
        """(status, text) of readiness, or (0, "") while nobody answers."""
        try:
            return http_get(f"127.0.0.1:{self.health}", "/healthz/ready", 2)
        except OSError:
            return 0, ""

    def wait_ready(self, timeout=45):
        wait_until(lambda: self.ready()[0] == 200, f"{self.name} to be ready", timeout, self.process)

    def metrics(self):
        return http_get(f"127.0.0.1:{self.metrics_port}", "/metrics")[1]

    def metric(self, name, **labels):
        """The value of one series, 0 when it is not there."""
        for line in self.metrics().splitlines():
            if not line.startswith(name):
                continue
            head, _, value = line.rpartition(" ")
            series, _, rest = head.partition("{")
            if series == name and all(f'{k}="{v}"' in rest for k, v in labels.items()):
                return float(value)
        return 0.0

    def port(self, service):
        return self.ports[service]

    def stop(self, number=SIGTERM):
        status = self.process.stop(number)
        check_clean(self.process)
        return status


class EchoServer:
    """A TCP server for tests: each connection gets `handler(socket)` in a thread; default: echo."""

    def __init__(self, handler=None, path=None):
        self.handler = handler or self.echo
        if path is None:
            self.socket = socket.create_server(("127.0.0.1", 0), backlog=512)
            self.port = self.socket.getsockname()[1]
            self.address = f"127.0.0.1:{self.port}"
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(str(path))
            self.socket.listen(512)
            self.address = f"unix:{path}"
        self.count = 0
        self.is_closed = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    @staticmethod
    def echo(connection):
        while data := connection.recv(65536):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)

    def run(self):
        while not self.is_closed:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.count += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError), connection:
            self.handler(connection)

    def close(self):
        self.is_closed = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Mesh:
    """Everything a test starts, ended and checked when it is over."""

    def __init__(self, folder=None):
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="remora-mesh-"))
        self.parts = []
        self.control = None

    def start_control(self, **options):
        self.control = Control(self.folder, **options).start()
        self.parts.append(self.control)
        return self.control

    def sidecar(self, name, *, serves=(), calls=(), start=True, ready=True, token=True, **options):
        """A sidecar that joins with a fresh token. `serves` are (service, port, target)."""
        token_path = None
        if token:
            token_path = self.folder / f"{name}.token"
            self.control.create_token(identity(name), *[s[0] for s in serves], path=token_path)
        sidecar = Sidecar(self.folder, name, control=self.control, token=token_path, services=serves,
                          outbound=[(c,) if isinstance(c, str) and not c.startswith("{") else c for c in calls],
                          **options)
        self.parts.append(sidecar)
        return sidecar.start(ready=ready) if start else sidecar

    def add(self, part):
        self.parts.append(part)
        return part

    def close(self):
        failures = []
        for part in reversed(self.parts):
            try:
                if hasattr(part, "close"):
                    part.close()
                elif part.process is not None and part.process.poll() is None:
                    part.process.stop()
                    check_clean(part.process)
            except AssertionError as error:
                failures.append(str(error))
        if failures:
            raise AssertionError("\n".join(failures))

    def logs(self):
        return "\n".join(part.process.log() for part in self.parts
                         if getattr(part, "process", None) is not None)

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)
