"""TLS between a socket and a leg: a protocol to the transport below, a transport to the protocol above.

asyncio and uvloop have such a layer too. This one exists for what theirs hide or keep:

- `get_write_buffer_size` counts what the socket below has not taken, and `pause_writing` tells of it, so that memory is
  charged as on a plain socket. A large frame is encrypted CHUNK_BYTES at a time, as the peer takes it, not as a whole.
- Bytes are received into one memory that all layers of the event loop share; an idle connection holds none.
- Whoever is above learns of the connection when it is secured, and of a failed handshake in words.
- A peer that has said that it sends no more (close_notify, or the end of the socket) can still be answered.

Renegotiation does not exist here: `proxy.tls` switches it off, and TLS 1.3 has none.

Source: RFC 8446, RFC 5246; asyncio.sslproto and uvloop/sslproto.pyx for what the event loops do.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CHUNK_BYTES = 131_072
"""What is encrypted at once; the most that a slow peer leaves encrypted here."""

JOINED_BYTES = 65_536
"""Up to this size the pieces of a frame become one, so that a size prefix is no TLS record of its own."""

RECORD_BYTES = 16_384
"""The most that one TLS record holds."""

MEMORY_BYTES = 65_536
"""What is received at once; as much of OpenSSL's buffer stays with a connection that has received so much."""

PEER_LEFT = "the peer closed the connection during the TLS handshake"

_ADVICE = {
    "WRONG_VERSION_NUMBER": "the peer does not speak TLS here; both sides need the same security.protocol",
    "PACKET_LENGTH_TOO_LONG": "the peer does not speak TLS here; both sides need the same security.protocol",
    "RECORD_LAYER_FAILURE": "the peer does not speak TLS here; both sides need the same security.protocol",
    "HTTP_REQUEST": "the peer speaks HTTP",
    "UNSUPPORTED_PROTOCOL": "the peer's TLS is older than what is allowed",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the peer wants another version of TLS",
    "NO_SHARED_CIPHER": "no cipher suite suits both sides",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer has no certificate, and one is required",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the peer wants a certificate; set upstream.tls.certificate and key",
    "TLSV1_ALERT_UNKNOWN_CA": "the peer does not trust the certificate that it was shown",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the peer does not trust the certificate that it was shown",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the peer does not take the certificate that it was shown",
}


def explain(error: Exception) -> str:
    """A failure of TLS in words; OpenSSL's own are names of constants and of certificates, never payload."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the peer's certificate does not stand: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        reason = error.reason or "TLS failed"
        return f"{reason}: {_ADVICE[reason]}" if reason in _ADVICE else reason
    return type(error).__name__


class TlsLayer(asyncio.BufferedProtocol, asyncio.Transport):
    """One TLS connection."""

    def __init__(
        self,
        above: asyncio.BufferedProtocol,
        context: ssl.SSLContext,
        memory: bytearray,
        *,
        server_hostname: str | None = None,
        on_secured: Callable[[TlsLayer], None],
        on_failed: Callable[[str], None],
    ) -> None:
        """A layer that begins its handshake when the socket below is there.

        Args:
            above: gets `connection_made` when the handshake is over.
            context: a client's if it says so itself (`check_hostname`, `verify_mode`), see `proxy.tls`.
            memory: what bytes are received into; shared.
            server_hostname: whom a client expects.
            on_secured: called before `above.connection_made`; may close.
            on_failed: called, once at most, with the reason, when TLS fails before or after the handshake.
        """
        self._above = above
        self._memory = memoryview(memory)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        server_side = context.protocol == ssl.PROTOCOL_TLS_SERVER
        self._tls = context.wrap_bio(self._in, self._out, server_side=server_side, server_hostname=server_hostname)
        self._on_secured = on_secured
        self._on_failed = on_failed
        self._socket: asyncio.Transport | None = None
        self._backlog: deque[memoryview] = deque()  # not encrypted yet
        self._backlog_bytes = 0
        self._is_secured = False
        self._is_reading = True
        self._is_full = False  # the socket has not taken all
        self._has_told = False  # ... and whoever is above knows
        self._is_closing = False
        self._is_over = False  # the peer has said that it sends no more
        self._has_failed = False

    @property
    def tls(self) -> ssl.SSLObject:
        """What the handshake came to."""
        return self._tls

    # Below: asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open: the handshake begins."""
        self._socket = cast("asyncio.Transport", transport)
        self._socket.set_write_buffer_limits(high=0)  # tells when the socket has taken everything
        self._shake_hands()

    def get_buffer(self, _hint: int) -> memoryview:
        """Where the next encrypted bytes go."""
        return self._memory

    def buffer_updated(self, nbytes: int) -> None:
        """Encrypted bytes are in the memory."""
        if self._is_closing:
            return  # nobody wants them any more
        self._in.write(self._memory[:nbytes])
        if not self._is_secured:
            self._shake_hands()
        elif self._is_reading:
            self._read()
        elif self._socket is not None:
            self._socket.pause_reading()  # uvloop starts reading after connection_made, whatever that asked for

    def eof_received(self) -> bool:
        """The socket brings no more."""
        if not self._is_secured:
            return False
        self._is_over = True
        self._read()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._socket = None
        self._backlog.clear()
        self._backlog_bytes = 0
        if self._is_secured:
            self._above.connection_lost(exc)
        else:
            self._fail(PEER_LEFT)

    def pause_writing(self) -> None:
        """The socket has not taken everything."""
        self._is_full = True
        if self._is_secured and not self._has_told:
            self._has_told = True
            self._above.pause_writing()

    def resume_writing(self) -> None:
        """It has."""
        self._is_full = False
        self._encrypt()
        if self._has_told and not self._is_full:
            self._has_told = False
            self._above.resume_writing()

    # Handshake.

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except (ssl.SSLError, ValueError) as error:  # ValueError: a host name that cannot be in a certificate
            self._fail(explain(error))
            return
        self._flush()
        self._is_secured = True
        self._on_secured(self)
        if not self._is_closing:
            self._above.connection_made(self)
            self._read()

    def _fail(self, reason: str) -> None:
        """Ends the connection; the alert that says why to the peer still leaves."""
        if self._has_failed or self._is_closing:
            return
        self._has_failed = True
        self._flush()
        if self._socket is not None:
            self._socket.close()
        self._on_failed(reason)

    # In.

    def _read(self) -> None:
        """Decrypts what is here, as long as it is wanted."""
        above = self._above
        while self._is_reading and not self._is_closing and (self._in.pending or self._tls.pending()):
            try:
                count = self._decrypt(memoryview(cast("Any", above.get_buffer(self._in.pending))))
            except ssl.SSLError as error:
                self._fail(explain(error))
                return
            if not count:
                break
            above.buffer_updated(count)
        if self._out.pending:
            self._flush()  # the answer to a key update
        if self._is_over and self._is_reading and not self._is_closing:
            self._is_over = False
            if not above.eof_received():
                self.close()

    def _decrypt(self, memory: memoryview) -> int:
        """Fills the memory, and says how far; the last record may be there in part only."""
        filled = 0
        try:
            while filled < len(memory) and (self._in.pending or self._tls.pending()):
                # CPython's own stubs know `read` with a buffer as giving bytes.
                count = cast("int", self._tls.read(len(memory) - filled, cast("Any", memory[filled:])))
                if count == 0:
                    self._is_over = True
                    break
                filled += count
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._is_over = True
        return filled

    # Out.

    def _encrypt(self) -> None:
        """Encrypts and sends, until the socket is full or nothing is left."""
        backlog = self._backlog
        while backlog and not self._is_full and self._socket is not None:
            encrypted = []
            room = CHUNK_BYTES
            try:
                while backlog and room > 0:
                    piece = backlog[0]
                    # A record at a time: OpenSSL's buffer never shrinks, and would stay with the connection.
                    count = self._tls.write(piece[:RECORD_BYTES])
                    encrypted.append(self._out.read())
                    room -= count
                    self._backlog_bytes -= count
                    if count < len(piece):
                        backlog[0] = piece[count:]
                    else:
                        backlog.popleft()
            except ssl.SSLError as error:
                self._fail(explain(error))
                return
            self._socket.write(encrypted[0] if len(encrypted) == 1 else b"".join(encrypted))
        if self._is_closing and not backlog:
            self._say_goodbye()

    def _flush(self) -> None:
        if self._out.pending and self._socket is not None:
            self._socket.write(self._out.read())

    def _say_goodbye(self) -> None:
        """Says that no more comes, and does not wait for the peer to say so too."""
        if self._socket is None or self._socket.is_closing():
            return
        with contextlib.suppress(ssl.SSLError):  # it would wait for the peer's goodbye
            self._tls.unwrap()
        self._flush()
        self._socket.close()

    # Above: the leg calls these.

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing to set: `pause_writing` always tells of the first byte that the socket has not taken."""

    def get_write_buffer_size(self) -> int:
        """What the peer has not taken."""
        return self._backlog_bytes + (self._socket.get_write_buffer_size() if self._socket is not None else 0)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypts and sends; what the socket does not take now is kept as it is, without a copy."""
        self._keep(memoryview(data).cast("B"))
        self._encrypt_unless_full()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """The same for a frame in pieces."""
        pieces = [memoryview(piece).cast("B") for piece in list_of_data]
        if len(pieces) > 1 and sum(map(len, pieces)) <= JOINED_BYTES:
            pieces = [memoryview(b"".join(pieces))]
        for piece in pieces:
            self._keep(piece)
        self._encrypt_unless_full()

    def _keep(self, piece: memoryview) -> None:
        if piece and not self._is_closing:
            self._backlog.append(piece)
            self._backlog_bytes += len(piece)

    def _encrypt_unless_full(self) -> None:
        if not self._is_full:
            self._encrypt()

    def pause_reading(self) -> None:
        """Gives nothing to whoever is above, and takes nothing from the socket."""
        self._is_reading = False
        if self._socket is not None and not self._socket.is_closing():
            self._socket.pause_reading()

    def resume_reading(self) -> None:
        """Goes on; what is here already comes with the loop's next turn."""
        if self._is_reading or self._socket is None or self._is_closing:
            return
        self._is_reading = True
        if not self._socket.is_closing():
            self._socket.resume_reading()
        asyncio.get_running_loop().call_soon(self._read)

    def is_reading(self) -> bool:
        """Whether bytes are wanted."""
        return self._is_reading and not self._is_closing

    def is_closing(self) -> bool:
        """Whether the connection is closed or about to be."""
        return self._is_closing or self._socket is None

    def close(self) -> None:
        """Closes once everything that was written has left."""
        if self._is_closing or self._socket is None:
            return
        self._is_closing = True
        if not self._is_secured:
            self._socket.abort()
        elif not self._backlog:
            self._say_goodbye()

    def abort(self) -> None:
        """Closes at once."""
        self._is_closing = True
        if self._socket is not None:
            self._socket.abort()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Puts another protocol above."""
        self._above = cast("asyncio.BufferedProtocol", protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """What is above."""
        return self._above

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the socket below."""
        return default if self._socket is None else self._socket.get_extra_info(name, default)
