# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers on runc as an orchestrator would start them, and network namespaces for them."""
import ctypes
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading

from mesh import REPO, Process, wait_until

RUNC = shutil.which("runc", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
CLONE_NEWNET = 0x40000000


def call(*words, check=True):
    result = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60)
    if check and result.returncode != 0:
        raise AssertionError(f"{words}: {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def image_stage(name):
    """What deploy/Containerfile says of the stage `name`: its base, user and command."""
    text = (REPO / "deploy" / "Containerfile").read_text().replace("\\\n", " ")
    stage = re.search(rf"^FROM (\S+) AS {name}$(.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL)
    said = dict(re.findall(r"^(USER|ENTRYPOINT|CMD) (.*)$", stage.group(2), re.MULTILINE))
    user, group = said["USER"].split(":")
    return {"base": stage.group(1), "uid": int(user), "gid": int(group),
            "argv": json.loads(said["ENTRYPOINT"]) + json.loads(said["CMD"])}


def make_root(folder, program, stage):
    """The image's root file system, with the folders that an engine mounts upon."""
    root = pathlib.Path(folder)
    for mount_point in ("etc/remora", "dev", "proc", "var/lib/remora"):
        (root / mount_point).mkdir(parents=True)
    os.chown(root / "var/lib/remora", stage["uid"], stage["gid"])
    (root / "etc/passwd").write_text(f"remora:x:{stage['uid']}:{stage['gid']}::/:/none\n")
    (root / "etc/group").write_text(f"remora:x:{stage['gid']}:\n")
    call("strip", "-o", root / stage["argv"][0].lstrip("/"), program)
    return root


def fingerprint(root):
    """Everything about every file below `root` that a write would change."""
    found = {}
    for path in sorted([root, *root.rglob("*")]):
        facts = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path)] = (facts.st_mode, facts.st_uid, facts.st_size, facts.st_mtime_ns,
                            facts.st_ctime_ns, content)
    return found


class Namespaces:
    """Two network namespaces, `left` and `right`, with one cable between them."""

    def __init__(self):
        self.names = {side: f"remora-{os.getpid()}-{side}" for side in ("left", "right")}
        self.addresses = {"left": "10.78.0.1", "right": "10.78.0.2"}
        for name in self.names.values():
            call("ip", "netns", "add", name)
        call("ip", "link", "add", "eth0", "netns", self.names["left"], "type", "veth",
             "peer", "name", "eth0", "netns", self.names["right"])
        for side, name in self.names.items():
            call("ip", "-n", name, "addr", "add", f"{self.addresses[side]}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                call("ip", "-n", name, "link", "set", link, "up")

    def path(self, side):
        return f"/run/netns/{self.names[side]}"

    def inside(self, side, function, *arguments, **options):
        """The value of a call made in a namespace: its sockets stay there, also for other threads."""
        outcome = {}

        def run():
            try:
                descriptor = os.open(self.path(side), os.O_RDONLY)
                try:
                    if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), "setns")
                finally:
                    os.close(descriptor)
                outcome["value"] = function(*arguments, **options)
            except BaseException as error:  # handed to the caller
                outcome["error"] = error

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if "error" in outcome:
            raise outcome["error"]
        return outcome["value"]

    def connect(self, side, port):
        """An HTTP connection to the namespace's own loopback."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self.inside(side, connection.connect)
        return connection

    def get(self, side, port, path="/"):
        """(status, body) of a GET on a connection of its own; (0, b"") when nobody listens."""
        try:
            connection = self.connect(side, port)
        except ConnectionRefusedError:
            return 0, b""
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def close(self):
        for name in self.names.values():
            call("ip", "netns", "del", name, check=False)


class Container:
    """One container: `stage`'s user and command on a read-only root, without any capability, with
    `configuration` mounted at /etc/remora, in one of the `namespaces`."""

    def __init__(self, folder, name, root, stage, configuration, namespaces, side):
        self.name = f"remora-{os.getpid()}-{name}"
        self.namespaces, self.side = namespaces, side
        self.bundle = pathlib.Path(folder) / f"{name}-bundle"
        self.bundle.mkdir()
        self.runc = [RUNC, "--root", str(self.bundle / "state")]
        (self.bundle / "config.json").write_text(json.dumps(
            self.specification(root, stage, configuration, namespaces.path(side))))
        self.process = Process(name, [*self.runc, "run", "--bundle", self.bundle, self.name], folder)

    @staticmethod
    def specification(root, stage, configuration, network):
        """The OCI runtime configuration."""
        sets = ("bounding", "effective", "permitted", "inheritable", "ambient")
        return {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": stage["uid"], "gid": stage["gid"]}, "args": stage["argv"], "env": [],
                "cwd": "/", "capabilities": {one: [] for one in sets}, "noNewPrivileges": True,
            },
            "root": {"path": str(root), "readonly": True},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                 "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
                {"destination": "/etc/remora", "type": "bind", "source": str(configuration),
                 "options": ["bind", "ro"]},
            ],
            "linux": {"namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"},
                                     {"type": "mount"}, {"type": "network", "path": network}]},
        }

    def state(self):
        text = call(*self.runc, "state", self.name, check=False)
        return json.loads(text) if text else {"status": "gone"}

    def status(self):
        """The kernel's view of the first process: {field: words}."""
        text = pathlib.Path(f"/proc/{self.state()['pid']}/status").read_text()
        return {line.split(":")[0]: line.split(":")[1].split() for line in text.splitlines()}

    def mounts(self):
        """{mount point: options} inside the container."""
        lines = pathlib.Path(f"/proc/{self.state()['pid']}/mountinfo").read_text().splitlines()
        return {line.split()[4]: line.split()[5].split(",") for line in lines}

    def ready(self):
        return self.namespaces.get(self.side, 15021, "/healthz/ready")

    def wait_ready(self):
        wait_until(lambda: self.ready()[0] == 200, f"{self.name} to be ready", process=self.process)

    def kill(self, signal):
        call(*self.runc, "kill", self.name, signal)

    def wait(self):
        """The exit status of the first process."""
        return self.process.child.wait(30)

    def close(self):
        call(*self.runc, "delete", "--force", self.name, check=False)
        self.process.child.wait(30)
