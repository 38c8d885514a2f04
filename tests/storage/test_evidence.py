"""How evidence becomes bytes; what is wrong with a whole one is in tests/cli/test_verify.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughline.domain.errors import CorruptArtifact, InvalidInput, NotFound
from throughline.storage.evidence import canonical, unseal
from throughline.storage.signing import SigningKey, load_public_keys, public_key_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_the_same_value_has_one_canonical_form(value: object) -> None:
    once = canonical(value)
    assert canonical(json.loads(once)) == once


def test_floats_have_none() -> None:
    with pytest.raises(ValueError, match="float"):
        canonical({"a": [1, {"b": 0.5}]})


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"null", b"\xff", b'{"evidence": 1.5, "signature": null}', b"[" * 100_000, b'{"evidence": {}}'],
)
def test_what_is_no_evidence_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(CorruptArtifact, match="no evidence"):
        unseal(content)


def test_evidence_of_another_format_asks_for_its_release() -> None:
    whole = {"evidence": {"format": "throughline-evidence/2"}, "signature": None}
    with pytest.raises(CorruptArtifact, match="release that wrote it"):
        unseal(json.dumps(whole, indent=1, sort_keys=True).encode() + b"\n")


def test_a_key_signs_what_its_public_half_confirms_and_no_other_does(tmp_path: Path) -> None:
    key, other = SigningKey.generate(), SigningKey.generate()
    (tmp_path / "key.pem").write_text(key.pem())
    (tmp_path / "public.pem").write_text(key.public.pem())
    signature = SigningKey.load(tmp_path / "key.pem").sign(b"words")
    (public,) = load_public_keys([tmp_path / "public.pem"]).values()
    assert public.has_signed(b"words", signature)
    assert not public.has_signed(b"Words", signature)
    assert not other.public.has_signed(b"words", signature)
    assert public_key_of(public.signer) == public or public_key_of(public.signer).key_id == public.key_id  # type: ignore[union-attr]
    assert key.pem() not in repr(key)


def test_files_that_hold_no_key_are_named(tmp_path: Path) -> None:
    (tmp_path / "private.pem").write_text(SigningKey.generate().pem())
    with pytest.raises(InvalidInput, match="no public Ed25519 key"):
        load_public_keys([tmp_path / "private.pem"])
    with pytest.raises(NotFound, match=r"missing\.pem"):
        load_public_keys([tmp_path / "missing.pem"])
