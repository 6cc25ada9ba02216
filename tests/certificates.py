"""Certificates of this run's own: an authority, servers and clients."""

import functools
import ssl
from pathlib import Path
from typing import NamedTuple

import trustme

HOST = "localhost"
"""The host that the server's certificate names."""


@functools.cache
def authority() -> trustme.CA:
    """The authority that has signed all others."""
    return trustme.CA()


@functools.cache
def server_certificate(host: str = HOST) -> trustme.LeafCert:
    """A server's certificate for `host`, and for 127.0.0.1 when that is where it runs."""
    return authority().issue_cert(host, *(["127.0.0.1"] if host == HOST else []))


def server_context(host: str = HOST, *, mutual: bool = False) -> ssl.SSLContext:
    """What a server needs to speak TLS; `mutual` lets in only clients of the authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_certificate(host).configure_cert(context)
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        authority().configure_trust(context)
    return context


def client_context() -> ssl.SSLContext:
    """What a client needs to trust the authority."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return context


class Files(NamedTuple):
    """A certificate, its key and its authority, each in a file."""

    cert: Path
    key: Path
    ca: Path


def write_files(
    folder: Path, certificate: trustme.LeafCert, password: bytes | None = None
) -> Files:
    """Write them into the folder, the key encrypted when there is a password."""
    files = Files(*(folder / f"{name}.pem" for name in Files._fields))
    certificate.cert_chain_pems[0].write_to_path(files.cert)
    authority().cert_pem.write_to_path(files.ca)
    key = certificate.private_key_pem.bytes()
    files.key.write_bytes(key if password is None else _encrypted(key, password))
    return files


def _encrypted(key: bytes, password: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization as s

    loaded = s.load_pem_private_key(key, None)
    encryption = s.BestAvailableEncryption(password)
    return loaded.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, encryption)
