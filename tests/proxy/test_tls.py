"""TLS of the configuration: files that can be used, and words for those that cannot; reloads."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from pydantic import ValidationError
from structlog.testing import capture_logs

from support.authority import Authority, Issued
from support.requests import plain_frame
from support.scripted import proxied
from support.wait import until
from wiremask.proxy import metrics
from wiremask.proxy.config import Config, ConfigInvalid, load, render
from wiremask.proxy.reloadedfiles import ReloadedFiles
from wiremask.proxy.tls import ClientTlsConfig, ServerTlsConfig, Tls, TlsUnusable, client_context, server_context

LIST_GROUPS = 16


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def server_config(issued: Issued, **more: Any) -> ServerTlsConfig:
    return ServerTlsConfig.model_validate({**issued.settings, **more})


def test_contexts_are_strict(authority: Authority) -> None:
    contexts = [
        server_context(server_config(authority.issue("server"))),
        client_context(ClientTlsConfig.model_validate({"ca": str(authority.ca)})),
    ]

    for context in contexts:
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert {cipher["kea"] for cipher in context.get_ciphers()} <= {"kx-ecdhe", "kx-any"}
        assert all(cipher["aead"] for cipher in context.get_ciphers())
    assert (contexts[1].verify_mode, contexts[1].check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_key_may_be_encrypted(authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue("server", password="a password")
    (tmp_path / "password").write_text("a password\n")

    context = server_context(server_config(issued, keyPassword={"file": str(tmp_path / "password")}))

    assert isinstance(context, ssl.SSLContext)
    with pytest.raises(TlsUnusable, match="encrypted"):
        server_context(server_config(issued))


@pytest.mark.parametrize("fault", ["another key", "no file", "no certificate", "no authority"])
def test_files_that_cannot_be_used_are_named(authority: Authority, tmp_path: Path, fault: str) -> None:
    issued, other = authority.issue("server"), authority.issue("other")
    config = {
        "another key": {**issued.settings, "key": str(other.key)},
        "no file": {**issued.settings, "certificate": str(tmp_path / "missing.crt")},
        "no certificate": {**issued.settings, "certificate": str(issued.key)},
        "no authority": {**issued.settings, "ca": str(issued.key)},
    }[fault]

    with pytest.raises(TlsUnusable) as raised:
        server_context(ServerTlsConfig.model_validate(config))

    assert str(tmp_path) in str(raised.value)
    assert "BEGIN" not in str(raised.value)


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ({}, "needs certificate and key"),
        ({"certificate": "a"}, "belong together"),
        ({"certificate": "a", "key": "b", "clientAuth": "require"}, "write in ca"),
        ({"certificate": "a", "key": "b", "clientAuth": "maybe"}, "'none', 'request' or 'require'"),
        ({"certificate": "a", "key": "b", "minimumVersion": "1.1"}, "'1.2' or '1.3'"),
        ({"certificate": "a", "key": "b", "nodeNames": "kafka.example"}, "write {node}"),
        ({"certificate": "a", "key": "b", "principalMappingRules": "RULE:a"}, "write DEFAULT or RULE"),
        ({"certificate": "a", "key": "b", "keyPassword": {"env": "A", "file": "b"}}, "write where the secret is"),
    ],
)
def test_settings_that_cannot_work_are_refused(section: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault.replace("{", r"\{")):
        ServerTlsConfig.model_validate(section)


def test_a_configuration_file_has_tls(tmp_path: Path) -> None:
    (tmp_path / "wiremask.yaml").write_text(
        'upstream: {bootstrapServers: ["kafka:9093"], tls: {ca: ca.pem}}\n'
        "listeners: [{advertisedHost: kafka.example,"
        ' tls: {certificate: tls.crt, key: tls.key, nodeNames: "broker-{node}.kafka.example"}}]\n'
    )

    config = load(tmp_path / "wiremask.yaml", env={"WIREMASK_LISTENERS__0__TLS__CLIENT_AUTH": "none"})

    assert isinstance(config, Config)
    assert config.listeners[0].tls is not None
    assert config.listeners[0].tls.certificate == tmp_path / "tls.crt"
    assert list(config.listeners[0].ports) == [9092]
    with pytest.raises(ConfigInvalid, match="env: NAME"):
        load(
            tmp_path / "wiremask.yaml",
            env={"WIREMASK_LISTENERS__0__TLS__KEY_PASSWORD__ENV": ""}
            | {"WIREMASK_LISTENERS__0__TLS__KEY_PASSWORD__FILE": "x"},
        )


class Secret:
    """A mounted Kubernetes secret: `..data` is a link to the folder of one version."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._version = 0
        folder.mkdir()

    def swap(self, issued: Issued, *, key: Path | None = None) -> None:
        self._version += 1
        version = self.folder / f"..version-{self._version}"
        version.mkdir()
        shutil.copy(issued.certificate, version / "tls.crt")
        shutil.copy(key or issued.key, version / "tls.key")
        link = self.folder / "..data_tmp"
        link.symlink_to(version.name)
        link.replace(self.folder / "..data")
        for name in ("tls.crt", "tls.key"):
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")

    @property
    def settings(self) -> dict[str, str]:
        return {"certificate": str(self.folder / "tls.crt"), "key": str(self.folder / "tls.key")}


def number(file: Path) -> int:
    return x509.load_pem_x509_certificate(file.read_bytes()).serial_number


async def shown_number(connect: Any, authority: Authority) -> tuple[int, Any]:
    """The serial number of the certificate that a listener shows."""
    context = client_context(ClientTlsConfig.model_validate({"ca": str(authority.ca)}))
    client = await connect(ssl=context, server_hostname="localhost")
    der = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(der).serial_number, client


async def test_new_files_are_used_by_new_connections_and_bad_ones_are_not(authority: Authority, tmp_path: Path) -> None:
    first, second, other = (authority.issue(name, days=days) for name, days in (("a", 5), ("b", 9), ("c", 9)))
    secret = Secret(tmp_path / "secret")
    secret.swap(first)
    with capture_logs() as logs:
        async with proxied(listener_settings={"tls": secret.settings, "name": "reloaded"}) as stage:
            assert stage.listener.tls is not None
            files = ReloadedFiles([stage.listener.tls])
            watching = asyncio.ensure_future(files.watch())
            before, old = await shown_number(stage.connect, authority)
            expires = [metrics.certificate_expires.labels("reloaded").value]

            secret.swap(second)
            await until(lambda: metrics.file_reloads.labels("reloaded", "applied").value)
            after, _ = await shown_number(stage.connect, authority)
            expires.append(metrics.certificate_expires.labels("reloaded").value)
            secret.swap(first, key=other.key)
            await until(lambda: any(line["event"] == "files refused" for line in logs))
            kept, _ = await shown_number(stage.connect, authority)

            assert (before, after, kept) == (number(first.certificate), *[number(second.certificate)] * 2)
            assert expires[1] - expires[0] == pytest.approx(4 * 24 * 3600, abs=60)
            await old.send(plain_frame(LIST_GROUPS, 2))
            assert (await stage.broker.asked()).header.api.key == LIST_GROUPS
            assert metrics.file_reloads.labels("reloaded", "refused").value == 1
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def test_files_that_could_not_be_used_are_tried_again(authority: Authority, tmp_path: Path) -> None:
    first, second = authority.issue("a"), authority.issue("b")
    live = authority.issue("live")
    tls = Tls(server_config(live), use="tried again")
    files = ReloadedFiles([tls])

    with capture_logs() as logs:
        first.certificate.replace(live.certificate)
        await files.reload()
        await files.reload()
        first.key.replace(live.key)
        await files.reload()
        await files.reload()

    assert [line["event"] for line in logs] == ["files refused", "files applied"]
    assert second.certificate.exists()


@pytest.mark.parametrize("section", ["### TLS", "### Logins"])
def test_the_examples_of_the_readme_are_configurations(tmp_path: Path, section: str) -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    example = text.partition(section)[2].partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "wiremask.yaml").write_text(example)

    config = load(tmp_path / "wiremask.yaml", env={})
    (tmp_path / "effective.yaml").write_text(render(config))

    assert config.listeners[0].tls is not None
    assert config.upstream.tls is not None
    assert load(tmp_path / "effective.yaml", env={}) == config
