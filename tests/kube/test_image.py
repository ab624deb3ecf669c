"""What the image holds: the build stage alone starts the proxy, and is small."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from support.chart import ROOT
from support.ports import reserve
from support.process import Child
from support.rulefolder import IDLE_RULES
from support.wait import eventually
from wiremask.proxy import cli

DEPLOY = ROOT / "deploy"

BASE_BYTES = 45_000_000
"""python:3.13-slim-bookworm, linux/amd64, compressed, as Docker Hub shows it (41 MB in 2026), rounded up."""

LIMIT_BYTES = 150_000_000

pytestmark = [pytest.mark.kube, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Dockerfile copies into the image."""
    folder = tmp_path_factory.mktemp("image") / "wiremask"
    done = subprocess.run(
        [DEPLOY / "stage.sh", folder, sys.executable], capture_output=True, text=True, check=False, timeout=800
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder


def clean(folder: Path) -> dict[str, str]:
    """The environment of the image's process: nothing of this checkout leads into it."""
    return {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}


def test_proxy_and_webhook_start_with_the_stage_alone(stage: Path, tmp_path: Path) -> None:
    block = reserve()
    (tmp_path / "rules.yaml").write_text(IDLE_RULES["for others"], "utf-8")
    address, admin = block.take(2), block.take()
    command = [str(stage / "bin" / "wiremask"), "run", "--upstream", f"127.0.0.1:{admin + 1}"]
    command += ["--listen", f"127.0.0.1:{address}", "--rules", str(tmp_path), "--admin", f"127.0.0.1:{admin}"]
    env = clean(stage) | {"WIREMASK_LISTENERS__0__NODES__LAST": "0"}
    proxy = Child(command, log=tmp_path / "log", env=env)

    proxy.start()
    try:
        eventually(lambda: '"listening"' in proxy.output(), what=f"the proxy\n{proxy.tail()}", timeout_s=60)
    finally:
        code = proxy.stop()
        block.release()
    helped = subprocess.run(
        [stage / "bin" / "wiremask", "webhook", "--help"],
        env=clean(stage),
        capture_output=True,
        check=False,
        timeout=60,
    )
    imported = subprocess.run(
        [stage / "bin" / "python", "-c", "import wiremask.proxy.webhook.server as s; print(s.__file__)"],
        env=clean(stage),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert code == 0
    assert helped.returncode == 0
    assert imported.stdout.startswith(str(stage)), imported.stderr


def test_stage_holds_what_runs_and_no_more(stage: Path) -> None:
    packages = {path.name.split("-")[0].lower() for path in stage.glob("lib/python*/site-packages/*.dist-info")}
    files = {path.suffix for path in stage.rglob("*") if path.is_file()}

    assert {"wiremask", "aiohttp", "uvloop", "cryptography"} <= packages
    assert not packages & {"pip", "setuptools", "cython", "pytest", "confluent_kafka", "mypy"}
    assert not files & {".pyx", ".c", ".h"}


def test_every_module_is_compiled_for_the_start(stage: Path) -> None:
    packages = next(stage.glob("lib/python*/site-packages"))
    sources = [path for path in packages.rglob("*.py") if path.parent.name != "__pycache__"]

    lacking = [path for path in sources if not list(path.parent.glob(f"__pycache__/{path.stem}.cpython-*.pyc"))]

    # The image's root is read-only: what is not compiled here is compiled at every start.
    assert sources
    assert not lacking


def test_bill_of_materials_names_every_package(stage: Path) -> None:
    packages = {path.name.split("-")[0] for path in stage.glob("lib/python*/site-packages/*.dist-info")}
    bill = json.loads((stage / "wiremask.cdx.json").read_text("utf-8"))
    listed = {re.sub(r"[-.]", "_", component["name"]).lower() for component in bill["components"]}

    assert bill["bomFormat"] == "CycloneDX"
    assert {re.sub(r"[-.]", "_", name).lower() for name in packages} <= listed


def test_image_is_under_150_megabytes(stage: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(stage, "opt/wiremask")

    size = len(packed.getvalue())

    print(f"stage {size / 1e6:.1f} MB, with the base {(size + BASE_BYTES) / 1e6:.1f} MB, compressed")
    assert size + BASE_BYTES < LIMIT_BYTES


def test_dockerfile_runs_as_a_number_and_starts_the_proxy() -> None:
    lines = (DEPLOY / "Dockerfile").read_text("utf-8").splitlines()
    last = lines[max(place for place, line in enumerate(lines) if line.startswith("FROM ")) :]

    user = next(line.split()[1] for line in last if line.startswith("USER "))
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert 'ENTRYPOINT ["wiremask"]' in last
    assert 'CMD ["run"]' in last
    assert not [line for line in last if line.startswith(("RUN ", "HEALTHCHECK", "ADD "))]
    assert os.access(DEPLOY / "stage.sh", os.X_OK)
    assert cli.main(["run", "--help"]) == 0
