from __future__ import annotations

from pathlib import Path

from throughline.cli.keys import ensure_signing_key, public_key_file, signing_key_file, trusted_keys
from throughline.storage.signing import SigningKey, load_public_keys


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    ensure_signing_key(tmp_path)
    first = signing_key_file(tmp_path).read_bytes()
    ensure_signing_key(tmp_path)
    assert signing_key_file(tmp_path).read_bytes() == first
    assert signing_key_file(tmp_path).stat().st_mode & 0o777 == 0o600
    assert signing_key_file(tmp_path).parent.stat().st_mode & 0o777 == 0o700


def test_a_key_that_was_replaced_is_taken_up_and_the_one_before_stays_trusted(tmp_path: Path) -> None:
    ensure_signing_key(tmp_path)
    before = public_key_file(tmp_path)
    signing_key_file(tmp_path).write_text(SigningKey.generate().pem())
    ensure_signing_key(tmp_path)
    assert public_key_file(tmp_path) != before
    assert set(trusted_keys(tmp_path)) == {before, public_key_file(tmp_path)}
    assert len(load_public_keys(trusted_keys(tmp_path))) == 2
