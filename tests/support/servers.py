# SPDX-License-Identifier: GPL-3.0-or-later
"""Real applications as processes in private folders: nginx, redis and PostgreSQL."""
import os
import pathlib
import shutil
import socket
import subprocess

from mesh import Process, free_port, wait_until

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
REDIS = shutil.which("redis-server") or "/usr/bin/redis-server"

# Debian keeps the programs of each version in a folder of their own.
POSTGRES = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), default=pathlib.Path("/usr/bin"))


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Server:
    """A process that listens on `port`; ended and checked like every other part of a mesh."""

    def __init__(self, process, port):
        self.process, self.port = process, port
        self.address = f"127.0.0.1:{port}"
        wait_until(lambda: accepts(port), f"{process.name} to listen", process=process)


def start_nginx(folder, listen=""):
    """Serves the files in `folder`/html; takes uploads at /up/ (PUT). `listen` are more words of that directive."""
    folder = pathlib.Path(folder)
    (folder / "html" / "up").mkdir(parents=True)
    # Its worker is another user; our private folder must let it through.
    folder.chmod(0o755)
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(f"""
user root;
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 0;
    server {{
        listen 127.0.0.1:{port} {listen};
        root {folder}/html;
        location /up/ {{ dav_methods PUT; }}
    }}
}}
""")
    return Server(Process("nginx", [NGINX, "-e", "stderr", "-p", folder, "-c", config], folder), port)


def start_redis(folder):
    folder = pathlib.Path(folder)
    port = free_port()
    return Server(Process("redis", [REDIS, "--bind", "127.0.0.1", "--port", port, "--save", "",
                                    "--appendonly", "no", "--dir", folder], folder), port)


def start_postgres(folder):
    """A cluster of its own, whose superuser `postgres` needs no password; it refuses to run as root."""
    folder = pathlib.Path(folder)
    folder.chmod(0o755)
    data, port = folder / "postgres-data", free_port()
    data.mkdir()
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    if as_user:
        shutil.chown(data, "postgres")
    made = run(*as_user, POSTGRES / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8")
    assert made.returncode == 0, made.stderr
    return Server(Process("postgres", [*as_user, POSTGRES / "postgres", "-D", data, "-p", port, "-F", "-c",
                                       "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="], folder), port)


def run(*words, **options):
    """The finished command, its output as text."""
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60,
                          **options)
