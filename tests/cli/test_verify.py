"""Whatever is changed of a film, of what it rests on or of its evidence, `verify` names it; and it says what it could not look at."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.cli.sworn import CAMERAS, OFFSET_NS, Sworn, swear
from throughline.cli.evidence.finding import Finding, Outcome
from throughline.cli.main import app
from throughline.cli.verify import CHANGED, INCOMPLETE, RIGHT, examine, status
from throughline.domain.evidence import Method
from throughline.storage.evidence import canonical, unseal
from throughline.storage.object_store import ObjectStore
from throughline.storage.objects import ObjectSettings, open_objects
from throughline.storage.signing import SigningKey, load_public_keys

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OBJECTS = open_objects(ObjectSettings(allowed_roots=(Path("/"),)))


@pytest.fixture(scope="module")
def sworn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sworn]:
    """Whole, and left whole by every test."""
    made = swear(tmp_path_factory.mktemp("sworn"))
    yield made
    made.records.close()


def found(sworn: Sworn, place: Path | None = None, **moved: Any) -> list[Finding]:
    return examine(str(place or sworn.evidence), OBJECTS, load_public_keys([sworn.public_key]), **moved)


def changed(findings: list[Finding]) -> list[str]:
    return [finding.subject for finding in findings if finding.outcome is Outcome.CHANGED]


def unchecked(findings: list[Finding]) -> list[str]:
    return [finding.subject for finding in findings if finding.outcome is Outcome.UNCHECKED]


@contextmanager
def altered(path: Path, content: bytes) -> Iterator[None]:
    """Other content for a while."""
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


def test_what_nobody_touched_is_right_to_the_last_picture(sworn: Sworn) -> None:
    findings = found(sworn)
    assert {finding.outcome for finding in findings} == {Outcome.RIGHT}
    subjects = [finding.subject for finding in findings]
    for camera in CAMERAS:
        assert any(subject.startswith(f"chunk {camera}/") for subject in subjects)
        assert f"reel {camera}/part-000.mp4" in subjects
        assert f"tracks {camera}/tracks.parquet" in subjects
    (copied,) = [finding for finding in findings if finding.subject.startswith("copied")]
    assert copied.subject == "copied span 0:00.000 to 0:01.000"
    assert "30 coded pictures are, bit for bit, those of chunk cam1/2026-03-01_10-00-00.mp4" in copied.detail
    assert status(findings) == RIGHT


@pytest.mark.parametrize(("suffix", "origin"), [("mkv", "chunk cam1/"), ("ts", "reel cam1/part-000.mp4")])
def test_copies_from_other_containers_are_compared_where_their_pictures_lie_whole(
    tmp_path: Path, suffix: str, origin: str
) -> None:
    sworn = swear(tmp_path, suffix)
    findings = found(sworn)
    sworn.records.close()
    assert status(findings) == RIGHT
    (copied,) = [finding for finding in findings if finding.subject.startswith("copied")]
    assert f"bit for bit, those of {origin}" in copied.detail


def test_each_span_tells_its_time_and_its_bytes_by_camera(sworn: Sworn) -> None:
    evidence = unseal(sworn.evidence.read_bytes()).evidence
    alone, both = evidence.spans
    assert (alone.method, both.method) == (Method.COPIED, Method.ENCODED)
    names = {
        (tile.camera, evidence.sources[each.source].name, (each.end or 0) - (each.start or 0) > 500)
        for tile in both.tiles
        for each in tile.bytes
    }
    assert names == {
        (CAMERAS[0], "2026-03-01_10-00-01.mp4", True),
        (CAMERAS[1], "2026-03-01_10-00-01.mp4", True),
        (CAMERAS[1], "2026-03-01_10-00-02.mp4", True),
    }
    ahead, behind = (tile for tile in both.tiles)
    assert ahead.utc == behind.utc == both.utc
    assert behind.camera_time.start - ahead.camera_time.start == -OFFSET_NS
    assert not list(evidence.holes())


def test_it_tells_who_said_what_and_which_answers_counted(sworn: Sworn) -> None:
    text = sworn.evidence.read_text()
    evidence = unseal(text.encode()).evidence
    said = {pair.pair_id: [(each.verdict, each.counted, each.late) for each in pair.answers] for pair in evidence.pairs}
    assert said == {
        "pair1": [("invalid", False, False), ("valid", True, False)],
        "pair2": [("invalid", True, False), ("valid", False, True)],
        "pair3": [("unsure", True, False)],
    }
    assert [pair.pair_id for pair in evidence.pairs if pair.shown] == ["pair1"]
    assert {answer.annotator for pair in evidence.pairs for answer in pair.answers} == {"Ana"}
    assert evidence.job.options["similarity_threshold"] == "0.55"
    assert "very-secret" not in text
    assert "callback" not in text


SHOWN = ("chunk 0 0", "chunk 0 1", "chunk 1 1", "chunk 1 2")
SEARCHED = ("chunk 0 2", "chunk 1 0")
PARTS = ("film", "timeline", "sheet", "query", "listing", "reel", "account", "tracks", *SHOWN)


def part(sworn: Sworn, name: str) -> tuple[Path, str]:
    """A file that the film rests on, and what a finding calls it."""
    film = sworn.film.parent
    reel, tracks = (sworn.workspace.get(ref.uri) for ref in (sworn.cameras[1].reel, sworn.cameras[1].tracks))
    if name.startswith("chunk"):
        camera, number = map(int, name.split()[1:])
        path = sworn.chunks(CAMERAS[camera])[number]
        return path, f"chunk {path.parent.name}/{path.name}"
    return {
        "film": (film / "film.mp4", "film film.mp4"),
        "timeline": (film / "timeline.json", "film timeline.json"),
        "sheet": (film / "contact-sheet.jpg", "film contact-sheet.jpg"),
        "query": (sworn.evidence.parent / "query.json", "query query.json"),
        "listing": (
            sworn.workspace.get(f"jobs/{sworn.film_id.job_id}/footage").path("footage.json"),
            "listing footage.json",
        ),
        "reel": (reel.path("part-000.mp4"), f"reel {CAMERAS[1]}/part-000.mp4"),
        "account": (reel.path("reel.json"), f"reel {CAMERAS[1]}/reel.json"),
        "tracks": (tracks.path("tracks.parquet"), f"tracks {CAMERAS[1]}/tracks.parquet"),
    }[name]


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(PARTS), place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_one_byte_flipped_in_anything_that_the_film_rests_on_is_named(
    sworn: Sworn, name: str, place: float, flip: int
) -> None:
    path, subject = part(sworn, name)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= flip
    with altered(path, bytes(content)):
        findings = found(sworn)
    assert changed(findings) == [subject]
    assert status(findings) == CHANGED


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_one_byte_flipped_in_the_manifest_is_named(sworn: Sworn, place: float, flip: int) -> None:
    content = bytearray(sworn.evidence.read_bytes())
    content[int(place * len(content))] ^= flip
    with altered(sworn.evidence, bytes(content)):
        findings = found(sworn)
    assert findings[0].outcome is Outcome.CHANGED
    assert any("evidence.json" in subject for subject in changed(findings))


@pytest.mark.parametrize("name", SEARCHED)
def test_a_chunk_that_was_searched_and_is_not_shown_is_checked_when_asked_for(sworn: Sworn, name: str) -> None:
    path, subject = part(sworn, name)
    with altered(path, path.read_bytes()[:-1] + b"!"):
        assert changed(found(sworn)) == []
        assert changed(found(sworn, with_searched=True)) == [subject]


def test_what_rests_on_a_changed_chunk_is_told_in_times_of_the_film(sworn: Sworn) -> None:
    path, subject = part(sworn, "chunk 0 0")
    with altered(path, path.read_bytes()[:-1] + b"!"):
        (finding,) = [finding for finding in found(sworn) if finding.outcome is Outcome.CHANGED]
    assert finding.subject == subject
    assert finding.spans == ((0, 10**9),)
    assert "its" in finding.detail
    assert "0:00.000 to 0:01.000" in finding.text
    assert finding.expected_sha256 in finding.text
    assert finding.found_sha256 in finding.text


@pytest.mark.parametrize("name", ["film", "chunk 0 0", "reel"])
def test_a_file_that_was_cut_off_or_grew_is_named(sworn: Sworn, name: str) -> None:
    path, subject = part(sworn, name)
    content = path.read_bytes()
    for other in (content[: len(content) // 2], b"", content + b"more"):
        with altered(path, other):
            assert changed(found(sworn)) == [subject]


def test_two_files_that_were_swapped_are_named_with_what_they_hold(sworn: Sworn) -> None:
    (one, first), (two, second) = part(sworn, "chunk 0 0"), part(sworn, "chunk 1 1")
    contents = one.read_bytes(), two.read_bytes()
    with altered(one, contents[1]), altered(two, contents[0]):
        findings = found(sworn)
    details = {finding.subject: finding.detail for finding in findings if finding.outcome is Outcome.CHANGED}
    assert details.keys() == {first, second}
    assert f"now holds what belongs into {second}" in details[first]
    assert f"now holds what belongs into {first}" in details[second]


def test_a_chunk_that_came_later_is_told_of_and_changes_nothing(sworn: Sworn) -> None:
    extra = sworn.chunks(CAMERAS[0])[0].with_name("2026-03-01_10-00-07.mp4")
    shutil.copyfile(sworn.chunks(CAMERAS[0])[0], extra)
    try:
        findings = found(sworn)
    finally:
        extra.unlink()
    (note,) = [finding for finding in findings if finding.outcome is Outcome.NOTE]
    assert "2026-03-01_10-00-07.mp4" in note.detail
    assert status(findings) == RIGHT


def rewritten(sworn: Sworn, key: SigningKey | None, **changes: Any) -> bytes:
    """The manifest with other content, signed with another key: as somebody would do it who knows how."""
    content = json.loads(sworn.evidence.read_bytes())["evidence"]
    content |= changes
    signer = key.public.signer if key else None
    content["signer"] = signer and {name: getattr(signer, name) for name in ("algorithm", "key_id", "public_key")}
    signature = base64.b64encode(key.sign(canonical(content))).decode() if key else None
    whole = {"evidence": content, "signature": signature}
    return json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def test_a_manifest_signed_anew_by_another_key_is_named(sworn: Sworn) -> None:
    with altered(sworn.evidence, rewritten(sworn, SigningKey.generate(), incidents=[])):
        findings = found(sworn)
        assert changed(findings) == ["signature of evidence.json"]
        assert "not trusted" in findings[0].detail
        untrusting = examine(str(sworn.evidence), OBJECTS, {})
    assert status(untrusting) == INCOMPLETE


def test_a_manifest_that_states_a_trusted_key_which_never_signed_it_is_named(sworn: Sworn) -> None:
    content = json.loads(sworn.evidence.read_bytes())
    content["evidence"]["film"]["partial"] = True
    forged = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
    with altered(sworn.evidence, forged):
        findings = found(sworn)
    assert changed(findings) == ["signature of evidence.json"]
    assert "changed after it was signed" in findings[0].detail


def test_a_signature_that_was_taken_off_is_named_where_a_key_says_that_there_was_one(sworn: Sworn) -> None:
    with altered(sworn.evidence, rewritten(sworn, None)):
        assert changed(found(sworn)) == ["signature of evidence.json"]
        assert unchecked(examine(str(sworn.evidence), OBJECTS, {})) == ["signature of evidence.json"]


def test_several_keys_may_be_trusted_so_that_they_can_be_renewed(sworn: Sworn, tmp_path: Path) -> None:
    (tmp_path / "new.pem").write_text(SigningKey.generate().public.pem())
    trusted = load_public_keys([tmp_path / "new.pem", sworn.public_key])
    assert status(examine(str(sworn.evidence), OBJECTS, trusted)) == RIGHT


def test_a_copied_folder_is_checked_as_far_as_it_goes(sworn: Sworn, tmp_path: Path) -> None:
    for file in (sworn.evidence, sworn.film):
        shutil.copyfile(file, tmp_path / file.name)
    nowhere = f"file://{tmp_path}/away/"
    findings = found(sworn, tmp_path, workspace=nowhere, footage=nowhere)
    assert status(findings) == INCOMPLETE
    assert [finding.subject for finding in findings if finding.outcome is Outcome.RIGHT] == [
        "signature of evidence.json",
        "account of the film",
        "film film.mp4",
    ]
    assert all(
        re.search("can't be (reached|compared)", finding.detail)
        for finding in findings
        if finding.outcome is Outcome.UNCHECKED
    )
    (tmp_path / "film.mp4").write_bytes(b"another film")
    assert changed(found(sworn, tmp_path, workspace=nowhere, footage=nowhere)) == ["film film.mp4"]


def test_a_workspace_that_was_moved_is_found_around_its_evidence_and_footage_where_it_is_said_to_be(
    sworn: Sworn, tmp_path: Path
) -> None:
    shutil.copytree(sworn.root / "workspace", tmp_path / "archive")
    shutil.copytree(sworn.root / "footage", tmp_path / "videos")
    inner = sworn.evidence.relative_to(sworn.root / "workspace")
    moved = tmp_path / "archive" / inner
    (tmp_path / "archive" / sworn.film.relative_to(sworn.root / "workspace")).write_bytes(b"cut")
    (tmp_path / "videos" / sworn.chunks(CAMERAS[0])[0].relative_to(sworn.root / "footage")).write_bytes(b"cut")
    findings = found(sworn, moved, footage=f"file://{tmp_path}/videos")
    assert set(changed(findings)) == {"film film.mp4", part(sworn, "chunk 0 0")[1]}


def test_footage_in_a_bucket_is_checked_in_the_version_that_was_pinned(
    sworn: Sworn, s3_url: str, s3_client: S3Client, bucket: str
) -> None:
    s3_client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    content = json.loads(sworn.evidence.read_bytes())["evidence"]
    root = sworn.root / "footage"
    etags = {}
    for path in root.rglob("*.mp4"):
        key = str(path.relative_to(root))
        etags[key] = s3_client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())["ETag"].strip('"')
    sources = [{**source, "etag": etags[f"{source['camera']}/{source['name']}"]} for source in content["sources"]]
    objects = open_objects(ObjectSettings(allowed_roots=(Path("/"),), s3_endpoint_url=s3_url, s3_patience_seconds=0))
    trusted, place = load_public_keys([sworn.public_key]), f"s3://{bucket}/"
    first = f"{CAMERAS[0]}/{sources[0]['name']}"
    with altered(sworn.evidence, rewritten(sworn, SigningKey.load(sworn.key_file), sources=sources)):
        assert status(examine(str(sworn.evidence), objects, trusted, footage=place)) == RIGHT
        s3_client.put_object(Bucket=bucket, Key=first, Body=b"another day")
        assert status(examine(str(sworn.evidence), objects, trusted, footage=place)) == RIGHT
        versions = s3_client.list_object_versions(Bucket=bucket, Prefix=first)["Versions"]
        pinned = next(each["VersionId"] for each in versions if not each["IsLatest"])
        s3_client.delete_object(Bucket=bucket, Key=first, VersionId=pinned)
        assert changed(examine(str(sworn.evidence), objects, trusted, footage=place)) == [f"chunk {first}"]
        s3_client.delete_object(Bucket=bucket, Key=first)
        assert f"chunk {first}" in unchecked(examine(str(sworn.evidence), objects, trusted, footage=place))
    nowhere = examine(str(sworn.evidence), objects, trusted, footage="s3://no-such-bucket-here/")
    assert status(nowhere) == INCOMPLETE
    assert "those of reel cam1/part-000.mp4" in " ".join(finding.detail for finding in nowhere)


def test_a_store_that_does_not_answer_is_waited_for_once(sworn: Sworn) -> None:
    settings = ObjectSettings(allowed_roots=(Path("/"),), s3_endpoint_url="http://127.0.0.1:9", s3_anonymous=True)
    calls = list[str]()

    class Counted:
        def __getattr__(self, name: str) -> Any:
            calls.append(name)
            return getattr(objects, name)

    objects = open_objects(settings)
    counted = cast("ObjectStore", Counted())
    findings = examine(str(sworn.evidence), counted, load_public_keys([sworn.public_key]), footage="s3://away/")
    assert len([subject for subject in unchecked(findings) if subject.startswith("chunk")]) == 4
    assert calls.count("fetch") == 1


def test_pictures_that_are_not_the_cameras_are_named_though_every_digest_fits(sworn: Sworn) -> None:
    """A manifest that is wrong itself: it claims to have copied what comes from elsewhere."""
    content = json.loads(sworn.evidence.read_bytes())["evidence"]
    other = next(
        index for index, source in enumerate(content["sources"]) if source["camera"] == CAMERAS[0] and index > 0
    )
    spans = content["spans"]
    spans[0]["tiles"][0]["bytes"][0]["source"] = other
    key = SigningKey.load(sworn.key_file)
    with altered(sworn.evidence, rewritten(sworn, key, spans=spans)):
        findings = found(sworn)
    assert changed(findings) == ["copied span 0:00.000 to 0:01.000"]


def test_an_account_with_a_hole_is_named(sworn: Sworn) -> None:
    content = json.loads(sworn.evidence.read_bytes())["evidence"]
    key = SigningKey.load(sworn.key_file)
    with altered(sworn.evidence, rewritten(sworn, key, spans=content["spans"][1:])):
        assert changed(found(sworn)) == ["account of the film"]


def test_the_command_ends_with_what_it_found(sworn: Sworn, tmp_path: Path) -> None:
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["verify", *arguments, "--home", str(tmp_path)], env={"COLUMNS": "250"})

    whole = run(str(sworn.evidence), "--public-key", str(sworn.public_key))
    assert (whole.exit_code, "Everything is as it was signed." in whole.stdout) == (RIGHT, True)
    assert run(str(sworn.evidence.parent)).exit_code == INCOMPLETE, "whose key it is was not said"
    with altered(sworn.film, b"another"):
        cut = run(f"file://{sworn.evidence}", "--public-key", str(sworn.public_key), "--json")
    assert cut.exit_code == CHANGED
    told = json.loads(cut.stdout)
    assert told["status"] == CHANGED
    assert told["findings"][0]["subject"] == "film film.mp4"
    missing = run(str(tmp_path / "nothing.json"))
    assert (missing.exit_code, "there is no" in missing.stderr) == (INCOMPLETE, True)


def test_openssl_alone_checks_the_signature(sworn: Sworn, tmp_path: Path) -> None:
    """As docs/evidence.md tells it."""
    extract = (
        "import base64, json, sys; whole = json.load(open(sys.argv[1], encoding='utf-8')); "
        "open('signed', 'wb').write(json.dumps(whole['evidence'], sort_keys=True, separators=(',', ':'), "
        "ensure_ascii=False).encode()); open('signature', 'wb').write(base64.b64decode(whole['signature']))"
    )
    subprocess.run([sys.executable, "-c", extract, str(sworn.evidence)], check=True, cwd=tmp_path, timeout=60)
    check = ["openssl", "pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"]
    check += [str(sworn.public_key), "-in", "signed", "-sigfile", "signature"]
    assert subprocess.run(check, cwd=tmp_path, timeout=60, check=False).returncode == 0
    (tmp_path / "signed").write_bytes((tmp_path / "signed").read_bytes().replace(b"valid", b"viald"))
    assert subprocess.run(check, cwd=tmp_path, timeout=60, check=False).returncode != 0
