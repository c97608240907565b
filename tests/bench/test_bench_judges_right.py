# SPDX-License-Identifier: GPL-3.0-or-later
"""The suite tells resumed handshakes from full ones, and its verdicts follow from its figures."""
import pathlib
import ssl
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from suite import cases, handshakes, proxies, report  # noqa: E402


def handshake(server_context, client_context, session):
    """(client's first flights, server's first flights, session) of one handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname="b.mesh", session=session)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    sent = {client: b"", server: b""}
    done = set()
    while len(done) < 2:
        for side, own, other in ((client, to_server, to_client), (server, to_client, to_server)):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                pass
            data = own.read()
            sent[side] += data
            own.write(data)
    server.write(b"x")
    client.read(1)  # tickets come with it
    return sent[client], sent[server], client.session


@pytest.fixture
def contexts(tmp_path):
    proxies.write_certificates(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "b-full.pem", tmp_path / "b.key")
    client = ssl.create_default_context(cafile=str(tmp_path / "root.pem"))
    client.minimum_version = ssl.TLSVersion.TLSv1_3
    return server, client


def test_resumed_handshakes_are_told_from_full_ones(contexts):
    count, session = handshakes.Count(), None
    for _ in range(3):
        client, server, session = handshake(*contexts, session)
        count.client(client)
        count.server(server)
    assert (count.answered, count.offered, count.resumed, count.retried) == (3, 2, 2, 0)
    assert sum(count.groups.values()) == 3 and "none" not in count.groups


def test_a_retried_handshake_counts_once(contexts):
    server, client = contexts
    server.set_ecdh_curve("secp384r1")  # not what the client offers a share of
    count = handshakes.Count()
    sent_by_client, sent_by_server, _ = handshake(server, client, None)
    count.client(sent_by_client)
    count.server(sent_by_server)
    assert (count.answered, count.resumed, count.retried) == (1, 0, 1)
    assert count.groups == {"P-384": 1}


def test_an_incomplete_hello_asks_for_more(contexts):
    client, server, _ = handshake(*contexts, None)
    count = handshakes.Count()
    for length in (0, 4, 5, 80):
        with pytest.raises(handshakes.Incomplete):
            count.client(client[:length])
        with pytest.raises(handshakes.Incomplete):
            count.server(server[:length])
    assert count.answered == 0


@pytest.mark.parametrize("median, ratio, is_ratio, expected", [
    (900, 0.3, True, "aim reached"), (0.1, 0.38, True, "must reached"), (0.1, 0.381, True, "missed"),
    (10, 7, False, "aim reached"), (14, 0.1, False, "must reached"), (14.1, 0.1, False, "missed"),
    (1, None, True, "not measured"), (None, None, False, "not measured"),
])
def test_verdict(median, ratio, is_ratio, expected):
    must, aim = (0.38, 0.31) if is_ratio else (14, 10)
    assert report.verdict(cases.Bar(must, aim, is_ratio), median, ratio) == expected


def test_ratios_are_taken_within_a_repeat():
    # The machine was twice as slow in the second repeat, and nginx failed the third.
    values = {"connections-full": {"nginx": {0: 100, 1: 200}, "remora": {0: 30, 1: 64, 2: 1000}}}
    [row] = report.summarize(values)
    remora = row["peers"]["remora"]
    assert remora["median"] == 64
    assert remora["ratio"] == pytest.approx(0.31)
    assert (remora["ratio_min"], remora["ratio_max"]) == (pytest.approx(0.30), pytest.approx(0.32))
    assert row["bar"]["verdict"] == "aim reached"


def test_table_and_drawing_name_every_peer():
    values = {"connections-full": {"nginx": {0: 100}, "remora": {0: 30}}, "base": {"remora": {0: 3}}}
    peers = ["nginx", "haproxy", "remora"]
    summary = report.summarize(values)
    table = report.table(summary, peers)
    assert "30 (0.30)" in table and "0.38 / 0.31" in table and "aim reached" in table
    assert len({line.count("|") for line in table.splitlines()}) == 1
    assert report.svg(summary, peers).count("<rect") == 1 + 2


def test_every_bar_belongs_to_a_case_that_measures_it():
    names = {case.name for case in cases.cases()} | {"open-p99", "base", "burst"}
    assert {key for key, row in cases.rows().items() if row.bar} <= names
