"""Evidence is written once for each film, whole or not at all, and says what it can't prove."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.cli.sworn import TOPOLOGY, Sworn, swear
from tests.orchestrator.processes import FORKSERVER
from tests.orchestrator.scripted import wait_until
from throughline.domain.errors import CorruptArtifact, InvalidInput, NotFound
from throughline.domain.evidence import Role
from throughline.domain.likeness import SETS
from throughline.orchestrator import notary as module
from throughline.orchestrator.films import FilmId, Films
from throughline.orchestrator.notary import Notary
from throughline.storage.evidence import unseal
from throughline.storage.objects import ObjectSettings, open_objects
from throughline.storage.records import Records
from throughline.storage.records.models import Film
from throughline.storage.signing import SigningKey
from throughline.storage.workspace import Workspace
from throughline.tracker.rank import RANKING_FILE, SCORES_FILE
from throughline.v1.tracker_pb2 import CameraTracks


@pytest.fixture(scope="module")
def sworn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sworn]:
    made = swear(tmp_path_factory.mktemp("notary"))
    yield made
    made.records.close()


@pytest.fixture
def film(sworn: Sworn) -> FilmId:
    """One more film of the job, which has no evidence yet."""
    films = Films(sworn.records)
    with sworn.records.write() as session:
        session.execute(update(Film).values(state="ready"))
    known = len(list((sworn.evidence.parents[1]).iterdir()))
    return FilmId(sworn.film_id.job_id, films.plan_again(sworn.film_id.job_id, f"again-{known}-{id(films)}"))


def attest(sworn: Sworn, film: FilmId, key_file: Path | None = None) -> Path:
    notary = Notary(sworn.records, sworn.workspace, key_file)
    return Path(notary.attest(film, sworn.film_uri, sworn.cameras).removeprefix("file://"))


def test_evidence_that_is_there_is_found_and_not_written_again(sworn: Sworn) -> None:
    before = sworn.evidence.read_bytes()
    assert attest(sworn, sworn.film_id, None) == sworn.evidence
    assert sworn.evidence.read_bytes() == before


def test_a_film_made_anew_has_evidence_of_its_own_and_counts_late_answers(sworn: Sworn, film: FilmId) -> None:
    again = unseal(attest(sworn, film, sworn.key_file).read_bytes()).evidence
    assert again.film.revision == film.revision
    assert [pair.pair_id for pair in again.pairs if pair.shown] == ["pair1", "pair2"]
    late = next(answer for pair in again.pairs for answer in pair.answers if answer.late)
    assert late.counted


def test_a_film_that_was_asked_for_before_its_answers_were_kept_names_them_all_the_same(
    sworn: Sworn, film: FilmId
) -> None:
    with sworn.records.write() as session:
        session.get_one(Film, (film.job_id, film.revision)).answer_ids = None
    evidence = unseal(attest(sworn, film, sworn.key_file).read_bytes()).evidence
    assert sum(answer.counted for pair in evidence.pairs for answer in pair.answers) == 3


def test_a_film_made_anew_that_no_answer_decided_counts_none(sworn: Sworn, film: FilmId) -> None:
    with sworn.records.write() as session:
        session.get_one(Film, (film.job_id, film.revision)).answer_ids = []
    evidence = unseal(attest(sworn, film, sworn.key_file).read_bytes()).evidence
    answers = [answer for pair in evidence.pairs for answer in pair.answers]
    assert len(answers) > 3
    assert not any(answer.counted for answer in answers)


def test_it_says_by_what_the_pairs_were_ranked(sworn: Sworn) -> None:
    evidence = unseal(sworn.evidence.read_bytes()).evidence
    assert evidence.job.topology_sha256 == hashlib.sha256(TOPOLOGY.encode()).hexdigest()
    assert {(pair.appearance, pair.space_time[:6]) for pair in evidence.pairs} == {("0.950000", "70.0 s")}
    (ranking,) = evidence.rankings
    assert (ranking.round, ranking.threshold, ranking.scale, ranking.likeness) == (1, "0.55", "calibrated", SETS)
    assert (ranking.reid, ranking.learned_transits) == ("e" * 64, 1)
    assert ranking.calibration is not None
    assert ranking.calibration.knots == (("-1.0", "0.0"), ("0.25", "0.5"), ("1.0", "1.0"))
    files = [(file.name, file.sha256) for file in evidence.files if file.role is Role.RANKING]
    artifact = sworn.workspace.get(f"jobs/{sworn.film_id.job_id}/scores/1")
    kept = (RANKING_FILE, SCORES_FILE)
    assert files == [(f"1/{name}", artifact.manifest.files[name].sha256) for name in kept]
    assert set(artifact.names()) > set(kept), "crops of pairs are left out"


def test_pictures_of_people_whom_the_film_does_not_show_are_left_out(sworn: Sworn) -> None:
    evidence = unseal(sworn.evidence.read_bytes()).evidence
    tracks = {file.name for file in evidence.files if file.role is Role.TRACKS}
    assert tracks == {"summary.json", "tracks.parquet"}


def test_evidence_of_releases_that_said_nothing_of_rankings_is_read(sworn: Sworn) -> None:
    whole = json.loads(sworn.evidence.read_bytes())
    content = whole["evidence"]
    del content["rankings"], content["job"]["topology_sha256"]
    content["files"] = [file for file in content["files"] if file["role"] != "ranking"]
    for pair in content["pairs"]:
        del pair["appearance"], pair["space_time"]
    evidence = unseal(json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n").evidence
    assert (evidence.rankings, evidence.job.topology_sha256, evidence.pairs[0].space_time) == ((), "", "")


def attest_and_hang(root: Path, film: FilmId, film_uri: str, cameras: list[bytes]) -> None:
    """The whole of a process that is killed when its evidence is half written."""

    def hang(*_: object) -> bytes:
        (root / "hanging").touch()
        time.sleep(600)
        return b""

    module.seal = hang  # type: ignore[assignment, attr-defined]
    settings = ObjectSettings(allowed_roots=(root,))
    workspace = Workspace(f"file://{root}/workspace/", open_objects(settings), root / "cache")
    records = Records.open(f"sqlite:///{root}/records.db")
    Notary(records, workspace, root / "key.pem").attest(film, film_uri, [CameraTracks.FromString(c) for c in cameras])


def test_a_kill_while_it_is_written_leaves_nothing_and_the_next_attempt_makes_it_whole(
    sworn: Sworn, film: FilmId
) -> None:
    cameras = [camera.SerializeToString() for camera in sworn.cameras]
    process = FORKSERVER.Process(target=attest_and_hang, args=(sworn.root, film, sworn.film_uri, cameras))
    process.start()
    wait_until((sworn.root / "hanging").exists, 60)
    folder = sworn.root / "workspace" / "jobs" / film.job_id / "evidence"
    assert any(path.name.startswith(f".{film.revision}.") for path in folder.iterdir()), "half written"
    process.kill()
    process.join()
    assert sworn.workspace.find(f"jobs/{film.job_id}/evidence/{film.revision}") is None
    assert unseal(attest(sworn, film, sworn.key_file).read_bytes()).signature
    assert not any(path.name.startswith(f".{film.revision}.") for path in folder.iterdir()), "cleared away"


def test_without_a_key_it_is_unsigned_and_says_so(sworn: Sworn, film: FilmId, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        written = attest(sworn, film)
    assert "THROUGHLINE_EVIDENCE_KEY_FILE" in caplog.text
    assert unseal(written.read_bytes()).evidence.signer is None
    assert json.loads(written.read_bytes())["signature"] is None


def test_a_key_that_is_none_stops_the_start(sworn: Sworn, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no key"):
        Notary(sworn.records, sworn.workspace, tmp_path / "missing.pem")
    (tmp_path / "public.pem").write_text(SigningKey.generate().public.pem())
    with pytest.raises(InvalidInput, match="openssl genpkey"):
        Notary(sworn.records, sworn.workspace, tmp_path / "public.pem")


def test_an_artifact_that_is_gone_or_broken_is_named(sworn: Sworn, film: FilmId) -> None:
    notary = Notary(sworn.records, sworn.workspace, sworn.key_file)
    with pytest.raises(NotFound, match="no complete artifact"):
        notary.attest(film, f"{sworn.workspace.uri}jobs/x/timelines/1/", sworn.cameras)
    timeline = sworn.film.with_name("timeline.json")
    content = timeline.read_bytes()
    timeline.write_bytes(b"{}" + b" " * (len(content) - 2))
    try:
        with pytest.raises(CorruptArtifact):
            notary.attest(film, sworn.film_uri, sworn.cameras)
    finally:
        timeline.write_bytes(content)
