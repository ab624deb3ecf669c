"""What a kubelet does with a pod, as far as a local process can have it: files mounted, environment set, probes asked.

Mounts lie under a folder of the test's own instead of under `/`: paths of the specification are taken below it.
"""

from __future__ import annotations

import base64
import os
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.process import Child

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]


def lay_out(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes a mounted ConfigMap or Secret, or swaps it for its next version, as the kubelet does.

    Source: k8s.io/kubernetes pkg/volume/util/atomic_writer.go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    version = folder / f"..{uuid.uuid4().hex}"
    version.mkdir()
    for name, content in files.items():
        (version / name).write_bytes(content)
    before = (folder / "..data").resolve() if (folder / "..data").is_symlink() else None
    (folder / "..data_tmp").symlink_to(version.name)
    (folder / "..data_tmp").rename(folder / "..data")
    for name in files:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    for link in folder.iterdir():
        if link.is_symlink() and not link.name.startswith("..") and link.name not in files:
            link.unlink()
    if before is not None:
        for file in before.iterdir():
            file.unlink()
        before.rmdir()


def contents(thing: Json) -> dict[str, bytes]:
    """The files that a ConfigMap or Secret becomes."""
    if thing["kind"] == "Secret":
        files = {name: base64.b64decode(text) for name, text in (thing.get("data") or {}).items()}
        return files | {name: text.encode() for name, text in (thing.get("stringData") or {}).items()}
    return {name: text.encode() for name, text in (thing.get("data") or {}).items()}


class Container:
    """A container of wiremask's image as a process.

    Args:
        spec: the container, from a pod.
        volumes: the pod's volumes.
        objects: the ConfigMaps and Secrets that they name, by (kind, name).
        root: a folder for the mounts.
        env: what replaces variables of the container: where paths lie below `root`, and ports that are free here.
    """

    def __init__(
        self,
        spec: Json,
        volumes: list[Json],
        objects: Mapping[tuple[str, str], Json],
        root: Path,
        env: Mapping[str, str],
    ) -> None:
        by_name = {volume["name"]: volume for volume in volumes}
        self.mounts: dict[str, Path] = {}
        for mount in spec.get("volumeMounts", ()):
            assert "subPath" not in mount, "a file that is mounted by subPath is never updated"
            volume = by_name[mount["name"]]
            source = (
                ("ConfigMap", volume["configMap"]["name"])
                if "configMap" in volume
                else ("Secret", volume["secret"]["secretName"])
            )
            target = root / mount["mountPath"].lstrip("/")
            lay_out(target, contents(objects[source]))
            self.mounts[mount["name"]] = target
        # A container has the variables that its specification gives, and what its image needs to find its programs.
        given = {entry["name"]: entry["value"] for entry in spec.get("env", ())}
        command = [sys.executable, "-m", "wiremask", *(_below(root, argument) for argument in spec["args"])]
        self.process = Child(command, log=root / "log", env={"PATH": os.environ["PATH"], **given, **env})


def _below(root: Path, argument: str) -> str:
    return str(root / argument.lstrip("/")) if argument.startswith("/") else argument
