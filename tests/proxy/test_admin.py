import asyncio
import contextlib
import json

import pytest

from wiremask.proxy import admin
from wiremask.proxy.admin import AdminConfig, AdminServer
from wiremask.proxy.health import Health, RulesHealth


@pytest.fixture
def health():
    return Health()


@pytest.fixture
async def server(health):
    server = AdminServer(AdminConfig(address="127.0.0.1:0"), health)
    await server.start()
    yield server
    await server.close()


@contextlib.asynccontextmanager
async def connected(server):
    """A client connection, closed to its end afterwards."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def rest(reader):
    """What a cut connection still brings: it may end by close or by reset."""
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:
        return b""


async def exchange(server, request):
    """Sends bytes and reads to the end; gives (status line, headers, body)."""
    async with connected(server) as (reader, writer):
        writer.write(request)
        answer = await asyncio.wait_for(reader.read(), 5)
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *headers = head.decode().split("\r\n")
    return status, dict(header.lower().split(": ", 1) for header in headers), body


async def get(server, target):
    return await exchange(server, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


async def test_livez_answers_while_the_loop_turns(server):
    status, headers, body = await get(server, "/livez")

    assert status == "HTTP/1.1 200 OK"
    assert headers["connection"] == "close"
    assert body == b"ok\n"


@pytest.mark.parametrize(
    ("rules", "answered", "draining", "status"),
    [
        (True, True, False, "200 OK"),
        (False, True, False, "503 Service Unavailable"),
        (True, False, False, "503 Service Unavailable"),
        (True, True, True, "503 Service Unavailable"),
    ],
    ids=["ready", "no rules", "no broker", "draining"],
)
async def test_readyz_needs_rules_and_a_broker_and_no_drain(server, health, rules, answered, draining, status):
    health.rules = RulesHealth(generation=3, digest="ab12", rules=2) if rules else None
    health.upstream_answered = answered
    health.draining = draining

    line, headers, body = await get(server, "/readyz")

    assert line == f"HTTP/1.1 {status}"
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["ready"] is (status == "200 OK")


@pytest.mark.parametrize(
    ("rules", "listening", "status"),
    [(True, True, "200 OK"), (False, True, "503 Service Unavailable"), (True, False, "503 Service Unavailable")],
    ids=["started", "no rules", "no port"],
)
async def test_startupz_needs_rules_and_ports_and_no_broker(server, health, rules, listening, status):
    health.rules = RulesHealth(generation=1, digest="ab12", rules=2) if rules else None
    health.listening = listening

    line, _, _ = await get(server, "/startupz")

    assert line == f"HTTP/1.1 {status}"


async def test_readyz_tells_the_ruleset_and_why_a_change_was_refused(server, health):
    health.rules = RulesHealth(generation=3, digest="ab12", rules=2)
    health.upstream_answered = True
    health.refused = ("rules/a.yaml:3:5: unknown key",)

    line, _, body = await get(server, "/readyz")

    detail = json.loads(body)
    assert line == "HTTP/1.1 200 OK"
    assert detail["rules"].pop("loadedAt").endswith("+00:00")
    assert detail["rules"] == {"generation": 3, "digest": "ab12", "rules": 2}
    assert detail["refusedChange"] == ["rules/a.yaml:3:5: unknown key"]


async def test_metrics_are_prometheus_text(server):
    status, headers, body = await get(server, "/metrics")

    assert status == "HTTP/1.1 200 OK"
    assert headers["content-type"].startswith("text/plain")
    assert b"# TYPE wiremask_log_fields_dropped_total counter" in body


async def test_metrics_are_openmetrics_where_the_scraper_asks(server):
    request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text; version=1.0.0\r\n\r\n"

    _, headers, body = await exchange(server, request)

    assert headers["content-type"].startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


async def test_head_has_the_headers_of_get_and_no_body(server):
    status, headers, body = await exchange(server, b"HEAD /livez HTTP/1.1\r\nHost: x\r\n\r\n")

    assert status == "HTTP/1.1 200 OK"
    assert headers["content-length"] == "3"
    assert body == b""


async def test_query_is_not_part_of_the_path(server):
    status, _, _ = await get(server, "/livez?verbose=1")

    assert status == "HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /livez/ HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET /livez HTTP/1.1\r\n\r\n", 400),
        (b"\x00\x00\x00\x10\x00\x12\x00\x04junk\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", 431),
    ],
    ids=["root", "slash", "post", "delete", "no host", "kafka", "tls", "long header"],
)
async def test_refuses_what_is_not_served(server, request_bytes, status):
    line, headers, _ = await exchange(server, request_bytes)

    assert line.startswith(f"HTTP/1.1 {status} ")
    assert headers["connection"] == "close"
    assert (headers.get("allow") == "get, head") is (status == 405)


async def test_answers_one_request_a_connection(server):
    request = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"

    _, _, body = await exchange(server, request + request)

    assert body == b"ok\n"


async def test_request_may_come_byte_by_byte(server):
    async with connected(server) as (reader, writer):
        for byte in b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
        answer = await reader.read()

    assert answer.startswith(b"HTTP/1.1 200 OK")


async def test_answers_a_peer_that_closed_its_side(server):
    async with connected(server) as (reader, writer):
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        writer.write_eof()
        answer = await reader.read()

    assert answer.endswith(b"ok\n")


async def test_cuts_a_peer_that_does_not_finish_its_request(server, monkeypatch):
    monkeypatch.setattr(admin, "_DEADLINE_S", 0.05)

    async with connected(server) as (reader, writer):
        writer.write(b"GET /livez HT")

        assert await rest(reader) == b""


async def test_cuts_connections_above_its_limit(server, monkeypatch):
    monkeypatch.setattr(admin, "_CONNECTIONS", 1)

    async with connected(server) as (reader, writer):
        writer.write(b"GET /livez ")
        async with connected(server) as (second, _):
            assert await rest(second) == b""
        writer.write(b"HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await reader.read()

    assert answer.endswith(b"ok\n")


async def test_close_unbinds_the_port_and_cuts_what_is_open(health):
    server = AdminServer(AdminConfig(address="127.0.0.1:0"), health)
    await server.start()
    port = server.port

    async with connected(server) as (reader, writer):
        writer.write(b"GET ")
        while not server._open:  # noqa: ASYNC110 - until the server has seen the connection
            await asyncio.sleep(0)
        await asyncio.wait_for(server.close(), 5)
        assert await rest(reader) == b""

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


def test_is_bound_to_loopback_by_default():
    assert str(AdminConfig().address) == "127.0.0.1:9464"
