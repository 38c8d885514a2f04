"""evidence.json: how evidence and its signature become bytes, and bytes evidence again.

The signature is over the canonical JSON of the evidence (keys sorted, no spaces, no floats, UTF-8: RFC 8785 for such values), so
that whoever has the public key can check it without this program. The file itself is written in one way only; a file that is not,
down to the last space, was changed.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from throughline.domain.errors import CorruptArtifact
from throughline.domain.evidence import FORMAT, Evidence
from throughline.storage.signing import PublicKey, SigningKey, public_key_of

FILE = "evidence.json"
QUERY_FILE = "query.json"
MAX_BYTES = 256 * 2**20
_EVIDENCE = TypeAdapter(Evidence)


def canonical(value: Any) -> bytes:
    """The one form in which a JSON value is signed; raise ValueError for what holds floats."""
    if any(isinstance(each, float) for each in _scalars(value)):
        raise ValueError("a float has more than one spelling; write it as text")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def seal(evidence: Evidence, key: SigningKey | None) -> bytes:
    """The content of evidence.json; unsigned without a key. `evidence.signer` must be that of the key."""
    if evidence.signer != (key.public.signer if key else None):
        raise ValueError("the evidence names another signer than the key's owner")
    value = _EVIDENCE.dump_python(evidence, mode="json")
    signature = base64.b64encode(key.sign(canonical(value))).decode() if key else None
    return _file(value, signature)


@dataclass(frozen=True)
class SealedEvidence:
    """An evidence.json that was read. `signed` are the bytes that `signature` is of; that is None where nobody signed."""

    evidence: Evidence
    signed: bytes
    signature: bytes | None

    @property
    def stated_key(self) -> PublicKey | None:
        """The key that the evidence itself names; that proves nothing about who holds it."""
        return public_key_of(self.evidence.signer) if self.evidence.signer else None

    def is_signed_by(self, key: PublicKey) -> bool:
        return self.signature is not None and key.has_signed(self.signed, self.signature)


def unseal(data: bytes) -> SealedEvidence:
    """Read evidence.json; raise CorruptArtifact where it isn't as this program writes it, with where."""
    try:
        value = json.loads(data.decode())
        content, signature = value["evidence"], value["signature"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptArtifact(f"it is no evidence.json: {error}") from error
    try:
        again = _file(content, signature)
    except (ValueError, TypeError) as error:
        raise CorruptArtifact(f"it is no evidence.json: {error}") from error
    if again != data:
        at = next((i for i, (one, two) in enumerate(zip(data, again, strict=False)) if one != two), len(again))
        raise CorruptArtifact(
            f"it is not written as evidence is written: byte {at}, after {_before(data, at)!r}, differs"
        )
    return SealedEvidence(_evidence(content), canonical(content), _signature(signature))


def _evidence(content: Any) -> Evidence:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        stated = content.get("format") if isinstance(content, dict) else None
        raise CorruptArtifact(f"its format is {stated!r}, not {FORMAT!r}; use the release that wrote it")
    try:
        evidence = _EVIDENCE.validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CorruptArtifact(f"it is no evidence: {place}: {first['msg']}") from error
    return evidence


def _signature(text: Any) -> bytes | None:
    if text is None:
        return None
    try:
        signature = base64.b64decode(text, validate=True)
    except (ValueError, TypeError) as error:
        raise CorruptArtifact("its signature is no base64") from error
    if base64.b64encode(signature).decode() != text:
        raise CorruptArtifact("its signature is not written as base64 is written")
    return signature


def _file(content: Any, signature: Any) -> bytes:
    canonical(content)
    whole = {"evidence": content, "signature": signature}
    return json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _before(data: bytes, at: int) -> str:
    return data[max(0, at - 30) : at].decode(errors="replace")


def _scalars(value: Any) -> Any:
    if isinstance(value, dict):
        for each in value.values():
            yield from _scalars(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _scalars(each)
    else:
        yield value
