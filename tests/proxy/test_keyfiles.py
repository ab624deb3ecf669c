import os

import pytest

from wiremask.proxy.keyfiles import KeyFiles
from wiremask.rules import KeyReference, KeyUnavailable

KEY = "hex:" + bytes(range(32)).hex()


def test_takes_a_key_from_the_environment():
    keys = KeyFiles({"WIREMASK_KEY_PII": KEY})

    text = keys.resolve(KeyReference(env="WIREMASK_KEY_PII", file=None))

    assert text == KEY
    assert keys.files == []


def test_takes_a_key_from_a_file_as_it_is(tmp_path):
    (tmp_path / "pii").write_text(KEY + "\n")
    keys = KeyFiles({})

    text = keys.resolve(KeyReference(env=None, file=str(tmp_path / "pii")))

    assert text == KEY + "\n"
    assert keys.files == [tmp_path / "pii"]


@pytest.mark.parametrize("env", [{}, {"PII": ""}], ids=["missing", "empty"])
def test_names_the_variable_that_is_not_set(env):
    with pytest.raises(KeyUnavailable) as refused:
        KeyFiles(env).resolve(KeyReference(env="PII", file=None))

    assert refused.value.reason == "the environment variable PII is not set"


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda path: None, "cannot be read: No such file or directory"),
        (lambda path: path.mkdir(), "cannot be read: it is not a regular file"),
        (os.mkfifo, "cannot be read: it is not a regular file"),
        (lambda path: path.write_text(" \n"), "is empty"),
        (lambda path: path.write_text("canary" * 1000), "cannot be used: it is longer than 4096 bytes"),
        (lambda path: path.write_bytes(b"canary\xff"), "holds no text"),
    ],
    ids=["missing", "directory", "pipe", "blank", "too long", "not text"],
)
def test_names_the_file_that_has_no_key_and_nothing_of_it(tmp_path, prepare, reason):
    path = tmp_path / "pii"
    prepare(path)

    with pytest.raises(KeyUnavailable) as refused:
        KeyFiles({}).resolve(KeyReference(env=None, file=str(path)))

    assert refused.value.reason == f"the file {path} {reason}"
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text(KEY + KEY),
        lambda path: path.unlink(),
        lambda path: path.with_name("other").rename(path),
        lambda path: os.utime(path, ns=(1, 1)),
    ],
    ids=["rewritten", "gone", "replaced", "touched"],
)
def test_notices_that_a_key_file_changed(tmp_path, change):
    path = tmp_path / "pii"
    path.write_text(KEY)
    path.with_name("other").write_text(KEY)
    keys = KeyFiles({})
    keys.resolve(KeyReference(env=None, file=str(path)))
    assert not keys.have_changed()

    change(path)

    assert keys.have_changed()


def test_notices_that_a_missing_key_file_has_come(tmp_path):
    keys = KeyFiles({})
    with pytest.raises(KeyUnavailable):
        keys.resolve(KeyReference(env=None, file=str(tmp_path / "pii")))
    assert not keys.have_changed()

    (tmp_path / "pii").write_text(KEY)

    assert keys.have_changed()


def test_shows_no_key_in_its_repr(tmp_path):
    (tmp_path / "pii").write_text(KEY)
    keys = KeyFiles({"PII": KEY})

    keys.resolve(KeyReference(env="PII", file=None))
    keys.resolve(KeyReference(env=None, file=str(tmp_path / "pii")))

    assert KEY not in repr(keys)
