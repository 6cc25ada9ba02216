"""From what a user says about TLS to an `ssl.SSLContext`."""

from __future__ import annotations

import contextlib
import os
import warnings
from typing import TYPE_CHECKING, NamedTuple

from stompy.errors import STOMPError, outside

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

StrPath = str | os.PathLike[str]


class TLSOptions(NamedTuple):
    """What `STOMPClient.connect`, or `Broker`, is told about TLS; see there."""

    tls: bool | ssl.SSLContext | None = None
    cert_file: StrPath | None = None
    key_file: StrPath | None = None
    ca_file: StrPath | None = None
    key_password: str | None = None
    check_hostname: bool = True
    verify: bool = True

    def context(self, wanted: bool) -> ssl.SSLContext | None:
        """The context to connect with, or None for a connection without TLS.

        Args:
            wanted: whether the address asks for TLS; an option of TLS does so as well.

        Raises:
            STOMPError: the options contradict each other, or a file cannot be used.
        """
        files = self._files
        if self.tls is False and (wanted or files):
            raise STOMPError("tls=False, but the address or a certificate asks for TLS")
        if not (self.tls or wanted or files):
            return None
        return self._given_context() or self._new_context()

    def server_context(self) -> ssl.SSLContext | None:
        """The context to listen with, or None without a certificate.

        Raises:
            STOMPError: the options contradict each other, or a file cannot be used.
        """
        if not (self.tls or self.cert_file or self.key_file or self.key_password):
            return None
        import ssl  # takes a while, and most connections in a notebook are plain

        context = self._given_context()
        if context is None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._load_certificate(context)
        return context

    @property
    def _files(self) -> bool:
        """Whether a file, or the password of one, is named."""
        return bool(self.cert_file or self.key_file or self.ca_file or self.key_password)

    def _given_context(self) -> ssl.SSLContext | None:
        import ssl

        if not isinstance(self.tls, ssl.SSLContext):
            return None
        if self._files or not (self.check_hostname and self.verify):
            raise STOMPError(
                "an SSLContext and options that would change it",
                hint="set up the context, or leave it to the options",
            )
        return self.tls

    def _load_certificate(self, context: ssl.SSLContext) -> None:
        if self.cert_file is None:
            if self.key_file or self.key_password:
                raise STOMPError("a key_file or key_password without its cert_file")
            return
        with _naming(
            self.cert_file, self.key_file, hint="check cert_file, key_file and key_password"
        ):
            # Never None: OpenSSL would ask for the password at the terminal.
            context.load_cert_chain(self.cert_file, self.key_file, self.key_password or "")

    def _new_context(self) -> ssl.SSLContext:
        import ssl

        with _naming(self.ca_file, hint="check ca_file"):
            context = ssl.create_default_context(cafile=self.ca_file)
        self._load_certificate(context)
        if not (self.verify and self.check_hostname):
            what = "the host name" if self.verify else "the broker's certificate"
            warnings.warn(
                f"TLS without a check of {what}: whoever is in between can read and change "
                "everything",
                stacklevel=outside(),
            )
            context.check_hostname = False
        if not self.verify:
            context.verify_mode = ssl.CERT_NONE
        return context


@contextlib.contextmanager
def _naming(*files: StrPath | None, hint: str) -> Iterator[None]:
    """Name the files in an error of the block's; OpenSSL does not say which it could not use."""
    try:
        yield
    except OSError as error:  # ssl.SSLError is one
        named = " with ".join(os.fspath(file) for file in files if file)
        reason = error.strerror or error
        raise STOMPError(f"{named} cannot be used: {reason}", hint=hint) from error
