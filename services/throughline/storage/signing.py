"""Ed25519 keys in PEM files: who signs evidence, and whose signatures are trusted."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from throughline.domain.errors import InvalidInput, NotFound
from throughline.domain.evidence import Signer

ALGORITHM = "Ed25519"


@dataclass(frozen=True)
class PublicKey:
    """A key that signatures are checked with."""

    key: Ed25519PublicKey

    @property
    def raw(self) -> bytes:
        """Its 32 bytes."""
        return self.key.public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def key_id(self) -> str:
        """16 hexadecimal digits that name it."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    @property
    def signer(self) -> Signer:
        return Signer(ALGORITHM, self.key_id, base64.b64encode(self.raw).decode())

    def pem(self) -> str:
        return self.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def has_signed(self, data: bytes, signature: bytes) -> bool:
        try:
            self.key.verify(signature, data)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class SigningKey:
    """A key that signs. It is never printed, logged or sent."""

    _key: Ed25519PrivateKey

    @classmethod
    def generate(cls) -> SigningKey:
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Read a PEM file (PKCS #8, not encrypted); raise NotFound or InvalidInput where it is none."""
        try:
            key = load_pem_private_key(_content(path), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise _no_key(path, "private") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise _no_key(path, "private")
        return cls(key)

    @property
    def public(self) -> PublicKey:
        return PublicKey(self._key.public_key())

    def sign(self, data: bytes) -> bytes:
        """The 64 bytes of its signature of `data`."""
        return self._key.sign(data)

    def pem(self) -> str:
        """The secret itself, PKCS #8."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def load_public_keys(paths: Iterable[Path]) -> Mapping[str, PublicKey]:
    """Trusted keys by id; raise NotFound or InvalidInput for a file that holds none."""
    keys: dict[str, PublicKey] = {}
    for path in paths:
        try:
            key = load_pem_public_key(_content(path))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise _no_key(path, "public") from error
        if not isinstance(key, Ed25519PublicKey):
            raise _no_key(path, "public")
        keys[PublicKey(key).key_id] = PublicKey(key)
    return keys


def public_key_of(signer: Signer) -> PublicKey | None:
    """The key that a signer states, or None where what is stated is no key or has another id."""
    try:
        raw = base64.b64decode(signer.public_key, validate=True)
        key = PublicKey(Ed25519PublicKey.from_public_bytes(raw))
    except ValueError:
        return None
    return key if signer == key.signer else None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"there is no key {path}; check the path") from error
    except OSError as error:
        raise InvalidInput(f"key {path} can't be read ({error.strerror}); give its user the right to") from error


def _no_key(path: Path, kind: str) -> InvalidInput:
    return InvalidInput(
        f"{path} is no {kind} {ALGORITHM} key in PEM; make one with: openssl genpkey -algorithm ed25519"
    )
