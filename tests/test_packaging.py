"""The sdist and the wheel, built as plain pip builds them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CODE = ("protocol", "proxy", "rules")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an sdist of what git tracks, and a wheel built from that sdist."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0"):
        path, copy = ROOT / name, source / name
        if path.is_symlink() or path.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy, follow_symlinks=False)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)],
        check=True,
        capture_output=True,
    )
    return out


@pytest.mark.timeout(400)
def test_the_wheel_has_one_top_level_and_everything_that_it_needs(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    top = {name.split("/")[0] for name in names}
    compiled = {name.split("/")[-1].split(".")[0] for name in names if name.endswith(".so")}

    assert {name for name in top if not name.endswith(".dist-info")} == {"wiremask"}
    assert compiled == {path.stem for folder in CODE for path in (ROOT / folder).rglob("*.pyx")} | {
        path.stem for path in (ROOT / "proxy").rglob("*.pxd")
    }
    assert "wiremask/py.typed" in names
    assert "wiremask/protocol/messages/schemas/ApiVersionsRequest.json" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.timeout(400)
def test_the_sdist_has_the_sources_and_no_compiled_file(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]

    assert "src/wiremask/rules/kernel/jsonmask.pyx" in names
    assert "src/wiremask/rules/kernel/json_walk.h" in names
    assert [name for name in names if name.endswith(".so")] == []


@pytest.mark.timeout(400)
def test_the_wheel_works_without_the_checkout(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "lib"), str(wheel)],
        check=True,
    )
    (tmp_path / "rules.yaml").write_text(
        "apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {name: t}\nrules:\n"
        "  - {name: r, topics: [t], at: [produce], value: {format: json, fields: [{path: $.a, mask: redact}]}}\n"
    )
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'lib')!r}); import wiremask, wiremask.proxy.server\n"
        f"assert wiremask.__file__.startswith({str(tmp_path)!r}), wiremask.__file__\n"
        "print(wiremask.load('rules.yaml').mask('t', 'produce', None, b'{\"a\":\"x\"}', []).value.decode())"
    )

    told = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, text=True)

    assert told.strip() == '{"a":"[redacted]"}'
