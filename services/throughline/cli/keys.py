"""The keys of a deployment on one machine: one that signs evidence, and those that signatures of it are checked with."""

from __future__ import annotations

from pathlib import Path

from throughline.cli.deployment import write_private
from throughline.storage.signing import SigningKey

_FOLDER, _PRIVATE = "keys", "evidence.pem"


def signing_key_file(home: Path) -> Path:
    """Where the key that signs evidence is kept; only its owner may read it."""
    return home / _FOLDER / _PRIVATE


def public_key_file(home: Path) -> Path:
    """Where the public half of the key that signs now lies."""
    return home / _FOLDER / f"evidence-{SigningKey.load(signing_key_file(home)).public.key_id}.pub.pem"


def trusted_keys(home: Path) -> list[Path]:
    """The public halves of all keys that the deployment has signed with."""
    return sorted((home / _FOLDER).glob("evidence-*.pub.pem"))


def ensure_signing_key(home: Path) -> None:
    """Make a key on the first start; take up one that was put in its place. Public halves of earlier ones stay."""
    private = signing_key_file(home)
    private.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not private.exists():
        write_private(private, SigningKey.generate().pem())
    public = public_key_file(home)
    if not public.exists():
        public.write_text(SigningKey.load(private).public.pem())
