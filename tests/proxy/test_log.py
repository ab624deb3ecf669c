import io
import json
import logging
import subprocess
import sys

import pytest

from wiremask.proxy import log

CANARY = "canary-4111111111111111"


class FaultOfOurs(Exception):
    """Stands for an exception that this project defines."""


FaultOfOurs.__module__ = "wiremask.proxy.anything"


@pytest.fixture
def stream():
    stream = io.StringIO()
    log.configure(log.LogConfig(level="info"), stream)
    yield stream
    log.configure(log.LogConfig())


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_writes_one_json_object_a_line_with_level_and_utc_time(stream):
    logger = log.logger().bind(session=7)

    logger.info("connection opened", topic="payments.eu", partition=3)

    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "event": "connection opened",
        "session": 7,
        "topic": "payments.eu",
        "partition": 3,
    }


def test_drops_keys_that_are_not_in_the_table_and_counts_them(stream):
    before = log.dropped_fields.value

    log.logger().info("frame read", payload=CANARY, value=CANARY, topic="t")

    (line,) = lines(stream)
    assert line["topic"] == "t"
    assert CANARY not in stream.getvalue()
    assert log.dropped_fields.value == before + 2


@pytest.mark.parametrize(
    "value",
    [CANARY.encode(), bytearray(CANARY.encode()), memoryview(CANARY.encode()), [CANARY], {"a": CANARY}, float("nan")],
    ids=["bytes", "bytearray", "memoryview", "list", "mapping", "not a number"],
)
@pytest.mark.parametrize("form", ["json", "console"])
def test_drops_values_that_are_not_plain(stream, value, form):
    log.configure(log.LogConfig(format=form), stream)

    log.logger().info("frame read", topic=value, error=value)

    assert "frame read" in stream.getvalue()
    assert CANARY not in stream.getvalue()
    assert "topic" not in stream.getvalue()
    assert "error" not in stream.getvalue()


def test_escapes_control_characters_of_texts_that_clients_choose(stream):
    log.configure(log.LogConfig(format="console"), stream)

    log.logger().warning("refused", client_id="a\n2026-01-01 forged line\x1b[31m\u202e")

    (line,) = stream.getvalue().splitlines()
    assert "\\n2026-01-01 forged" in line
    assert "\x1b" not in line
    assert "\u202e" not in line


def test_cuts_long_texts(stream):
    log.logger().warning("refused", client_id="x" * 100_000)

    (line,) = lines(stream)
    assert len(line["client_id"]) < 300
    assert line["client_id"].endswith("[cut from 100000]")


def test_tells_foreign_exceptions_by_class_and_place_without_their_words(stream):
    try:
        int(CANARY)
    except ValueError as error:
        log.logger().error("callback failed", exc_info=error)

    (line,) = lines(stream)
    assert line["error"] == "ValueError"
    assert line["where"].startswith("proxy/test_log.py:")
    assert CANARY not in stream.getvalue()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (FaultOfOurs("the frame is longer than 100 bytes"), "FaultOfOurs: the frame is longer than 100 bytes"),
        (ConnectionResetError(104, "Connection reset by peer"), "ConnectionResetError: Connection reset by peer"),
        (OSError(), "OSError"),
        (KeyError(CANARY), "KeyError"),
        (UnicodeDecodeError("utf-8", CANARY.encode(), 0, 1, CANARY), "UnicodeDecodeError"),
        (ModuleNotFoundError("No module named 'x'"), "ModuleNotFoundError: No module named 'x'"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_keeps_the_words_of_exceptions_that_hold_no_payload(stream, error, told):
    log.logger().error("failed", error=error)

    (line,) = lines(stream)
    assert line["error"] == told


def test_leaves_out_events_below_the_level(stream):
    log.configure(log.LogConfig(level="warning"), stream)
    logger = log.logger()

    logger.debug("one")
    logger.info("two")
    logger.warning("three")

    assert [line["event"] for line in lines(stream)] == ["three"]


def test_goes_on_when_nobody_reads_the_output():
    class Closed(io.StringIO):
        def write(self, _text):
            raise BrokenPipeError(32, "Broken pipe")

    log.configure(log.LogConfig(), Closed())

    try:
        log.logger().error("nobody hears this")
    finally:
        log.configure(log.LogConfig())


def test_loop_exceptions_are_told_without_the_words_of_asyncio(stream):
    context = {"message": f"Exception in callback {CANARY}", "exception": ValueError(CANARY), "protocol": CANARY}

    log.on_loop_exception(None, context)
    log.on_loop_exception(None, {"message": CANARY})

    assert [line["event"] for line in lines(stream)] == ["callback failed", "callback failed"]
    assert CANARY not in stream.getvalue()


@pytest.fixture
def process():
    """Runs code in an interpreter of its own, whose logging and hooks are ours; gives its output."""

    def run(code):
        head = "from wiremask.proxy import log\nlog.configure(log.LogConfig())\nlog.route_libraries()\n"
        done = subprocess.run(
            [sys.executable, "-c", head + code], capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout + done.stderr

    return run


@pytest.mark.parametrize(
    "code",
    [
        f"import logging; logging.getLogger('kafka').warning('read %r', {CANARY!r})",
        f"import logging; logging.getLogger('asyncio').error({CANARY!r}, exc_info=ValueError({CANARY!r}))",
        f"import logging; logging.getLogger('kafka').error('%d', {CANARY!r})",
        f"import warnings; warnings.warn({CANARY!r})",
        f"int({CANARY!r})",
        f"import threading; t = threading.Thread(target=int, args=({CANARY!r},)); t.start(); t.join()",
        f"class A:\n  def __del__(self): int({CANARY!r})\nA()",
    ],
    ids=["warning", "error", "bad format", "warnings", "uncaught", "thread", "unraisable"],
)
def test_libraries_and_the_interpreter_say_no_payload(process, code):
    output = process(code)

    (line,) = output.splitlines()
    assert json.loads(line)["event"] in {"library complained", "unexpected failure"}
    assert CANARY not in output


def test_libraries_are_silent_below_a_warning(process):
    assert process("import logging; logging.getLogger('kafka').info('hello')") == ""


def test_does_not_import_what_only_terminals_need():
    code = "import sys, wiremask.proxy.log; print([m for m in ('rich', 'typer', 'pygments') if m in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "[]"


def test_rich_can_still_be_imported_afterwards():
    code = "import wiremask.proxy.log, rich.table; print('ok')"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "ok"


def test_root_logger_of_this_process_is_left_alone_by_configure(stream):
    before = list(logging.getLogger().handlers)

    log.configure(log.LogConfig(), stream)

    assert logging.getLogger().handlers == before
