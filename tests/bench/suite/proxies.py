# SPDX-License-Identifier: GPL-3.0-or-later
"""How each peer is asked to do the same work:

    load -> outbound proxy (plaintext in, mTLS 1.3 out) -> inbound proxy (mTLS in, plaintext out) -> backend

with one worker each, TLS 1.3 only, both sides' chains and names verified, the same certificates (root >
intermediate > P-256 leaf), TCP_NODELAY, and session reuse on or off.
"""
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys

REPO = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(REPO / "tests" / "support"))
import ca  # noqa: E402

DESCRIPTORS = 20000
NGINX_MODULE = pathlib.Path("/usr/lib/nginx/modules/ngx_stream_module.so")
os.environ["PATH"] += ":/usr/sbin:/sbin"  # where Debian puts daemons


def write_certificates(folder):
    """root.pem, and for a (outbound) and b (inbound): NAME.pem (leaf), NAME-full.pem (chain), NAME.key,
    NAME-all.pem (chain and key)."""
    authority = ca.Authority("mesh.local")
    (folder / "root.pem").write_bytes(authority.bundle_pem)
    for name in ("a", "b"):
        leaf = authority.leaf(uris=[authority.identity(name)], dns=[f"{name}.mesh"],
                              not_after=ca.utc_now() + 24 * ca.HOUR)
        for file, content in ((f"{name}.pem", ca.pem(leaf.chain[0])), (f"{name}-full.pem", leaf.chain_pem),
                              (f"{name}.key", leaf.key_pem),
                              (f"{name}-all.pem", leaf.chain_pem + leaf.key_pem)):
            (folder / file).touch(mode=0o600)
            (folder / file).write_bytes(content)


@dataclasses.dataclass
class Site:
    """Where a pair is to stand."""
    certificates: pathlib.Path  # folder
    folder: pathlib.Path        # for configuration and logs
    outbound: int               # port of the outbound proxy
    tunnel: int                 # port that it dials: the inbound proxy's, or of one who looks on
    inbound: int                # port of the inbound proxy
    backend: int                # port
    resumes: bool               # the outbound proxy resumes sessions
    tickets: bool               # the inbound proxy gives out what that takes, used or not
    wrapper: str = ""           # command to run the proxies under

    def config(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def command(self, *argv):
        return [*self.wrapper.split(), *map(str, argv)]


def on_off(flag):
    return "on" if flag else "off"


def yes_no(flag):
    return "yes" if flag else "no"


# ---- nginx, with and without TLS ------------------------------------------------------------------

def nginx_command(site, name, server):
    # A worker of its own would run as nobody, who may not write what the wrapper has to say.
    single = "master_process off;\n" if site.wrapper else ""
    head = (f"load_module {NGINX_MODULE};\ndaemon off;\n{single}worker_processes 1;\npid {site.folder}/{name}.pid;\n"
            f"worker_rlimit_nofile {DESCRIPTORS};\nerror_log stderr warn;\n"
            f"events {{ worker_connections {DESCRIPTORS - 1000}; }}\n")
    path = site.config(f"{name}.conf", head + f"stream {{\n    tcp_nodelay on;\n{server}}}\n")
    return site.command(shutil.which("nginx"), "-p", site.folder, "-c", path)


def nginx(site):
    d = site.certificates
    yield nginx_command(site, "inbound", f"""
    ssl_session_cache {'shared:S:10m' if site.tickets else 'off'};
    ssl_session_tickets {on_off(site.tickets)};
    server {{
        listen 127.0.0.1:{site.inbound} ssl backlog=4096;
        ssl_protocols TLSv1.3;
        ssl_certificate {d}/b-full.pem;
        ssl_certificate_key {d}/b.key;
        ssl_client_certificate {d}/root.pem;
        ssl_verify_client on;
        ssl_verify_depth 3;
        proxy_pass 127.0.0.1:{site.backend};
    }}
"""), {}
    yield nginx_command(site, "outbound", f"""
    server {{
        listen 127.0.0.1:{site.outbound} backlog=4096;
        proxy_pass 127.0.0.1:{site.tunnel};
        proxy_ssl on;
        proxy_ssl_protocols TLSv1.3;
        proxy_ssl_certificate {d}/a-full.pem;
        proxy_ssl_certificate_key {d}/a.key;
        proxy_ssl_trusted_certificate {d}/root.pem;
        proxy_ssl_verify on;
        proxy_ssl_verify_depth 3;
        proxy_ssl_name b.mesh;
        proxy_ssl_server_name on;
        proxy_ssl_session_reuse {on_off(site.resumes)};
    }}
"""), {}


def no_tls(site):
    for name, port, target in (("inbound", site.inbound, site.backend),
                               ("outbound", site.outbound, site.tunnel)):
        yield nginx_command(site, name, f"    server {{ listen 127.0.0.1:{port} backlog=4096; "
                                        f"proxy_pass 127.0.0.1:{target}; }}\n"), {}


# ---- haproxy and hitch ----------------------------------------------------------------------------

HAPROXY_DEFAULTS = """
    maxconn 9000
defaults
    mode tcp
    timeout connect 10s
    timeout client 600s
    timeout server 600s
"""


def haproxy_outbound(site):
    reuse = "" if site.resumes else " no-ssl-reuse"
    return site.command("haproxy", "-db", "-f", site.config("outbound.cfg", f"""global
    nbthread 1{HAPROXY_DEFAULTS}listen outbound
    bind 127.0.0.1:{site.outbound} backlog 4096
    server s 127.0.0.1:{site.tunnel} ssl crt {site.certificates}/a-all.pem ca-file {site.certificates}/root.pem """
                                              f"verify required verifyhost b.mesh sni str(b.mesh) ssl-min-ver TLSv1.3{reuse}\n"))


def haproxy(site):
    cache, tickets = ("", "") if site.tickets else ("\n    tune.ssl.cachesize 0", " no-tls-tickets")
    yield site.command("haproxy", "-db", "-f", site.config("inbound.cfg", f"""global
    nbthread 1{cache}{HAPROXY_DEFAULTS}listen inbound
    bind 127.0.0.1:{site.inbound} backlog 4096 ssl crt {site.certificates}/b-all.pem """
                                             f"ca-file {site.certificates}/root.pem verify required "
                                             f"ssl-min-ver TLSv1.3{tickets}\n"
                                             f"    server s 127.0.0.1:{site.backend}\n")), {}
    yield haproxy_outbound(site), {}


def hitch(site):
    """As a client hitch shows no certificate: it is the inbound half, haproxy the outbound one. It has no
    switch for session reuse."""
    d = site.certificates
    user = 'user = "nobody"\n' if os.geteuid() == 0 and not site.wrapper else ""
    yield site.command("hitch", "--config", site.config("inbound.conf", f"""frontend = "[127.0.0.1]:{site.inbound}"
backend = "[127.0.0.1]:{site.backend}"
pem-file = "{d}/b-all.pem"
client-verify = required
client-verify-ca = "{d}/root.pem"
tls-protos = TLSv1.3
workers = 1
backlog = 4096
daemon = off
{user}""")), {}
    yield haproxy_outbound(site), {}


# ---- stunnel, ghostunnel --------------------------------------------------------------------------

def stunnel(site):
    d = site.certificates
    head = "foreground = yes\npid =\ndebug = warning\nsocket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n"
    tail = f"CAfile = {d}/root.pem\nverifyChain = yes\nsslVersionMin = TLSv1.3\n"
    yield site.command("stunnel", site.config("inbound.conf", f"""{head}[inbound]
accept = 127.0.0.1:{site.inbound}
connect = 127.0.0.1:{site.backend}
cert = {d}/b-full.pem
key = {d}/b.key
requireCert = yes
sessionResume = {yes_no(site.tickets)}
{tail}""")), {}
    yield site.command("stunnel", site.config("outbound.conf", f"""{head}[outbound]
client = yes
accept = 127.0.0.1:{site.outbound}
connect = 127.0.0.1:{site.tunnel}
cert = {d}/a-full.pem
key = {d}/a.key
checkHost = b.mesh
sni = b.mesh
sessionResume = {yes_no(site.resumes)}
{tail}""")), {}


def ghostunnel(site):
    """It never resumes as a client: what the case asks for makes no difference."""
    d = site.certificates
    one_worker = {"GOMAXPROCS": "1"}
    yield site.command("ghostunnel", "server", "--listen", f"127.0.0.1:{site.inbound}", "--target",
                       f"127.0.0.1:{site.backend}", "--cert", d / "b-full.pem", "--key", d / "b.key",
                       "--cacert", d / "root.pem", "--allow-all", ), one_worker
    yield site.command("ghostunnel", "client", "--listen", f"127.0.0.1:{site.outbound}", "--target",
                       f"127.0.0.1:{site.tunnel}", "--override-server-name", "b.mesh", "--cert",
                       d / "a-full.pem", "--key", d / "a.key", "--cacert", d / "root.pem",
                       ), one_worker


# ---- Remora ---------------------------------------------------------------------------------------

def remora(site):
    """Its one switch is for both sides."""
    yield ([str(REPO / "tests" / "bench" / "pair.sh"), str(site.certificates), str(site.outbound),
            str(site.inbound), str(site.backend)],
           {"RESUME": "1" if site.resumes else "0", "TUNNEL": str(site.tunnel), "WRAPPER": site.wrapper})


@dataclasses.dataclass
class Peer:
    commands: object         # Site -> (argv, environment) of each process
    programs: tuple          # that must be installed
    version: tuple           # command that prints it
    files: tuple = ()        # that must be there


PEERS = {
    "no TLS": Peer(no_tls, ("nginx",), ("nginx", "-v"), (NGINX_MODULE,)),
    "nginx": Peer(nginx, ("nginx",), ("nginx", "-v"), (NGINX_MODULE,)),
    "haproxy": Peer(haproxy, ("haproxy",), ("haproxy", "-v")),
    "stunnel": Peer(stunnel, ("stunnel",), ("stunnel", "-version")),
    "hitch": Peer(hitch, ("hitch", "haproxy"), ("hitch", "--version")),
    "ghostunnel": Peer(ghostunnel, ("ghostunnel",), ("ghostunnel", "--version")),
    "remora": Peer(remora, (), ()),
}
# Programs that would be peers and are only named: ztunnel takes its identities from Istio's control plane
# and its traffic from the kernel, Envoy its TCP tunnels from a configuration of its own kind.
ONLY_NAMED = ("ztunnel", "envoy")


def missing(name):
    """Why this peer cannot take part, or None."""
    peer = PEERS[name]
    for program in peer.programs:
        if shutil.which(program) is None:
            return f"{program} is not installed"
    for file in peer.files:
        if not file.exists():
            return f"{file} is not there"
    return None


def version(name, sidecar):
    argv = PEERS[name].version or (str(sidecar), "--version")
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    match = re.search(r"\d+\.\d+[\w.+-]*", ran.stdout + ran.stderr)
    return match.group() if match else "unknown"
