import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wiremask.proxy.config import Config, ConfigInvalid, load, render
from wiremask.proxy.configfile import environment_names

UPSTREAM = "upstream: {bootstrapServers: ['kafka:9092']}\n"
BROKER = {"WIREMASK_UPSTREAM__BOOTSTRAP_SERVERS": "kafka:9092"}


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "wiremask.yaml"
        path.write_text(text)
        return path

    return write


def errors(path=None, env=None, options=None):
    with pytest.raises(ConfigInvalid) as refused:
        load(path, env or {}, options)
    return str(refused.value).splitlines()


def test_needs_no_file():
    config = load(None, BROKER)

    assert str(config.upstream.bootstrap_servers[0]) == "kafka:9092"
    assert str(config.listeners[0].address) == "127.0.0.1:9092"
    assert str(config.admin.address) == "127.0.0.1:9464"
    assert config.rules.path == Path("/etc/wiremask/rules")
    assert config.log.format == "json"


def test_reads_every_section_of_a_file(write):
    path = write(
        """
upstream: {bootstrapServers: ["b1:9092", "b2:9092"], nodePattern: "broker-{node}:9092", nodes: {"7": "b7:9092"}}
listeners:
  - {name: in, address: "127.0.0.1:19092", advertisedHost: localhost, nodes: {first: 5, last: 12}}
  - {name: out, address: "[::1]:29092"}
rules: {path: /etc/rules, rescanSeconds: 2.5}
limits: {frameBytes: 2048}
admin: {address: "127.0.0.1:9999"}
log: {level: debug, format: console}
"""
    )

    config = load(path, {})

    assert [str(server) for server in config.upstream.bootstrap_servers] == ["b1:9092", "b2:9092"]
    assert str(config.upstream.nodes[7]) == "b7:9092"
    assert [listener.name for listener in config.listeners] == ["in", "out"]
    assert config.listeners[0].ports == range(19092, 19101)
    assert config.rules.rescan_seconds == 2.5
    assert config.limits.frame_bytes == 2048
    assert config.log.level == "debug"


def test_reads_json_too(write):
    path = write(json.dumps({"upstream": {"bootstrapServers": ["k:1"]}, "log": {"level": "error"}}, indent=2))

    config = load(path, {})

    assert config.log.level == "error"


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n\n  # yet\n"], ids=["empty", "blank", "comments"])
def test_empty_file_means_every_default(write, text):
    assert load(write(text), BROKER) == load(None, BROKER)


def test_relative_paths_count_from_the_file_and_from_nowhere_else(write):
    path = write(UPSTREAM + "rules: {path: my/rules}\n")

    assert load(path, {}).rules.path == path.parent / "my/rules"
    assert load(path, {"WIREMASK_RULES__PATH": "my/rules"}).rules.path == Path("my/rules")
    assert load(path, {}, {("rules", "path"): ("--rules", "my/rules")}).rules.path == Path("my/rules")


def test_options_win_over_the_environment_and_that_over_the_file(write):
    path = write(UPSTREAM + "log: {level: debug, format: console}\nadmin: {address: '127.0.0.1:1'}\n")
    env = {"WIREMASK_LOG__LEVEL": "warning", "WIREMASK_LOG__FORMAT": "json"}

    config = load(path, env, {("log", "level"): ("--log-level", "error")})

    assert (config.log.level, config.log.format) == ("error", "json")
    assert str(config.admin.address) == "127.0.0.1:1"


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("WIREMASK_ADMIN__ADDRESS", "127.0.0.1:1", lambda config: str(config.admin.address) == "127.0.0.1:1"),
        ("WIREMASK_LIMITS__FRAME_BYTES", "4096", lambda config: config.limits.frame_bytes == 4096),
        ("WIREMASK_RULES__RESCAN_SECONDS", "0.5", lambda config: config.rules.rescan_seconds == 0.5),
        ("WIREMASK_LISTENERS__0__ADVERTISED_HOST", "h", lambda config: config.listeners[0].advertised_host == "h"),
        ("WIREMASK_LISTENERS__0__NODES__LAST", "7", lambda config: config.listeners[0].nodes.last == 7),
        ("WIREMASK_UPSTREAM__NODES__12", "b:1", lambda config: str(config.upstream.nodes[12]) == "b:1"),
        (
            "WIREMASK_UPSTREAM__BOOTSTRAP_SERVERS",
            "a:1, b:2",
            lambda config: [str(one) for one in config.upstream.bootstrap_servers] == ["a:1", "b:2"],
        ),
        (
            "WIREMASK_UPSTREAM__BOOTSTRAP_SERVERS__0",
            "a:1",
            lambda config: [str(one) for one in config.upstream.bootstrap_servers] == ["a:1"],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("WIREMASK") else "",
)
def test_environment_overrides_single_values(name, value, read):
    env = {name: value} if "BOOTSTRAP" in name else {**BROKER, name: value}

    assert read(load(None, env))


def test_environment_adds_listeners_in_order_of_their_number():
    env = {
        **BROKER,
        "WIREMASK_LISTENERS__1__NAME": "second",
        "WIREMASK_LISTENERS__1__ADDRESS": "127.0.0.1:20000",
        "WIREMASK_LISTENERS__0__NAME": "first",
    }

    assert [listener.name for listener in load(None, env).listeners] == ["first", "second"]


@pytest.mark.parametrize(
    "name", ["WIREMASK_KEY_PII", "WIREMASK_SERVICE_HOST", "WIREMASK_PORT_9092_TCP_ADDR", "OTHER__NAME", "WIREMASK"]
)
def test_environment_may_hold_names_that_are_no_overrides(name):
    assert load(None, {**BROKER, name: "x"}) == load(None, BROKER)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("WIREMASK_LIMIT__FRAME_BYTES", "it names no setting; did you mean WIREMASK_LIMITS__FRAME_BYTES?"),
        ("WIREMASK_LIMITS__FRAMEBYTES", "it names no setting; did you mean WIREMASK_LIMITS__FRAME_BYTES?"),
        ("WIREMASK_ADMIN_ADDRESS", "it is not read under this name; write WIREMASK_ADMIN__ADDRESS"),
        ("WIREMASK_ADMIN__ADDRESS__X", "it names no setting; did you mean WIREMASK_ADMIN__ADDRESS?"),
        ("WIREMASK_LISTENERS__X__NAME", "it names no setting; did you mean WIREMASK_LISTENERS__0__NAME?"),
        ("WIREMASK_ZZZ__QQQ", "it names no setting; only settings have names with `__`; delete it"),
        ("WIREMASK_LISTENERS__2__NAME", "there is no entry 0 before it; entries count from 0 without gaps"),
        ("WIREMASK_LOG", None),
        ("WIREMASK_LIMITS__FRAME_BYTES", "limits.frameBytes: write a whole number"),
    ],
)
def test_environment_errors_name_the_variable_and_what_to_write(name, message):
    env = {**BROKER, name: "x"}

    if message is None:
        assert load(None, env) == load(None, BROKER)
    else:
        assert errors(None, env) == [f"environment variable {name}: {message}"]


def test_options_are_named_in_their_errors():
    told = errors(None, BROKER, {("listeners", 0, "address"): ("--listen", "9092")})

    assert told == [
        'option --listen: listeners[0].address: write an address as "host:port", with a port from 0 to 65535'
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("upstraem: {}\n", "1:1: upstraem: there is no such key; did you mean `upstream`?"),
        ("limits:\n  frame_bytes: 1\n", "2:3: limits.frame_bytes: there is no such key; did you mean `frameBytes`?"),
        ("limits:\n  frameBytes: big\n", "2:15: limits.frameBytes: write a whole number"),
        ("limits: {frameBytes: 12}\n", "1:22: limits.frameBytes: write a number of at least 1024"),
        ("rules: {rescanSeconds: 0}\n", "1:24: rules.rescanSeconds: write a number above 0"),
        ("rules: {path: [a]}\n", "1:15: rules.path: write the path of a file or directory"),
        ("log: {level: loud}\n", "1:14: log.level: write 'debug', 'info', 'warning' or 'error'"),
        ("log:\n  level: NO\n", "2:10: log.level: write 'debug', 'info', 'warning' or 'error'"),
        ("admin: {address: 9464}\n", '1:18: admin.address: write an address as "host:port"'),
        ("admin: 9464\n", "1:8: admin: write a mapping: {...}"),
        ("listeners: {}\n", "1:12: listeners: write a list: [...]"),
        ("listeners: []\n", "1:12: listeners: write at least 1 entry"),
        ("listeners:\n- name: 5\n", "2:9: listeners[0].name: write a text; quote it if it looks like a number"),
        ("listeners:\n- {adress: 'a:1'}\n", "2:4: listeners[0].adress: there is no such key; did you mean `address`?"),
        (
            "listeners:\n- nodes: {fist: 1}\n",
            "2:11: listeners[0].nodes.fist: there is no such key; did you mean `first`?",
        ),
        ("upstream: {nodes: {x: 'b:1'}}\n", "1:20: upstream.nodes.x: not a node id"),
        ("log: {level: info}\nlog: {}\n", "2:1: this key stands already in line 1; delete one of the two"),
        (
            "log: &a {level: info}\n",
            "1:6: anchors are not supported; delete `&...`, and quote a text that begins with `&`",
        ),
        ("- a\n", "1:1: a configuration is a mapping; begin with `upstream:`"),
        ("log: {level: info\n", "2:1: the mapping `{...}` is not closed or lacks a comma before this"),
    ],
)
def test_errors_of_a_file_name_the_place_and_what_to_write(write, text, expected):
    path = write(text)

    told = errors(path, BROKER)

    assert told == [f"{path}:{expected}"]


def test_tells_every_error_at_once(write):
    path = write("admin: 1\nlog: {level: x, formt: json}\nlimits: {jsonDepth: 0}\n")

    told = errors(path, BROKER)

    assert len(told) == 4


def test_file_that_cannot_be_read_is_an_error_of_the_file(tmp_path):
    assert errors(tmp_path / "none.yaml") == [f"{tmp_path}/none.yaml:1:1: cannot be read: No such file or directory"]
    assert errors(tmp_path) == [f"{tmp_path}:1:1: cannot be read: it is not a regular file"]


def test_environment_does_not_hide_a_wrong_shape_in_the_file(write):
    path = write(UPSTREAM + "admin: 5\n")

    told = errors(path, {"WIREMASK_ADMIN__ADDRESS": "127.0.0.1:1"})

    assert told == [f"{path}:2:8: admin: write a mapping: {{...}}"]


@pytest.mark.parametrize(
    ("listeners", "admin", "message"),
    [
        ("[{name: a}, {name: a, address: '127.0.0.1:20000'}]", "127.0.0.1:9464", "listeners[1].name: listener 0 has"),
        ("[{name: a}, {name: b, address: '127.0.0.1:9192'}]", "127.0.0.1:9464", "listeners[1].address: port 9192 is"),
        ("[{name: a}, {name: b, address: 'localhost:9000'}]", "127.0.0.1:9464", "listeners[1].address: port 9092 is"),
        ("[{}]", "127.0.0.1:9092", "admin.address: port 9092 is one of listener 0, which takes 9092 to 9192"),
        ("[{}]", "0.0.0.0:9192", "admin.address: port 9192 is one of listener 0"),
    ],
    ids=["name", "last port", "first port", "admin", "admin everywhere"],
)
def test_refuses_ports_and_names_that_collide(write, listeners, admin, message):
    path = write(UPSTREAM + f"listeners: {listeners}\nadmin: {{address: '{admin}'}}\n")

    told = errors(path)

    assert len(told) == 1
    assert message in told[0]
    assert told[0].startswith(f"{path}:{'3:18' if 'admin' in message else '2:'}")


def test_accepts_neighbours_and_other_hosts(write):
    path = write(
        UPSTREAM
        + """
listeners:
  - {name: a}
  - {name: b, address: "127.0.0.1:9193"}
  - {name: c, address: "127.0.0.2:9092"}
"""
    )

    assert len(load(path, {}).listeners) == 3


@pytest.mark.parametrize("server", ["127.0.0.1:9092", "localhost:9100"])
def test_refuses_an_upstream_that_is_the_proxy_itself(server):
    told = errors(None, {"WIREMASK_UPSTREAM__BOOTSTRAP_SERVERS": server})

    assert len(told) == 1
    assert "this is the proxy's own listener 0; write the address of a Kafka broker" in told[0]


def test_refuses_to_require_logins_that_cannot_pass(write):
    own = "  sasl: {mechanism: PLAIN, username: a, password: {env: B}}"
    path = write(f"upstream:\n  bootstrapServers: ['b:1']\n{own}\nlisteners:\n- sasl: {{required: true}}\n")

    told = errors(path, {})

    expected = "no login of a client passes where the proxy logs in (upstream.sasl); write sasl.mechanisms"
    assert told == [f"{path}:5:20: listeners[0].sasl.required: {expected}"]


def test_says_what_to_set_when_nothing_is():
    assert "--upstream" in errors()[0]


def test_shows_the_effective_configuration_as_a_file_that_reads_the_same(write):
    config = load(None, {**BROKER, "WIREMASK_UPSTREAM__NODES__7": "b7:1", "WIREMASK_LISTENERS__0__NAME": "NO"})

    text = render(config)

    assert load(write(text), {}) == config
    assert "frameBytes: 104857600" in text


def test_every_value_has_a_variable_name():
    names = set(environment_names(Config))

    assert {"WIREMASK_ADMIN__ADDRESS", "WIREMASK_LISTENERS__0__NODES__FIRST", "WIREMASK_UPSTREAM__NODES__0"} <= names
    assert all(name == name.upper() and "__" in name for name in names)


@given(st.text(max_size=200))
def test_any_text_is_a_configuration_or_an_error(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))

    try:
        load(path, BROKER)
    except ConfigInvalid as refused:
        told = str(refused).splitlines()
    else:
        told = [f"{path}:"]

    assert told
    assert all(line.startswith(f"{path}:") for line in told)
