"""What SubmitJob takes and what it refuses, with every mistake named."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.orchestrator.bench import QUERY, Client, request, settings_for
from tests.orchestrator.scripted import Script
from throughline.domain.errors import (
    Conflict,
    FailedPrecondition,
    InvalidInput,
    InvalidQuery,
    LimitExceeded,
    NotFound,
    PermissionDenied,
    ThroughlineError,
)
from throughline.domain.time import Instant
from throughline.orchestrator.jobs import Submission
from throughline.orchestrator.requests import digest_of
from throughline.orchestrator.submission import check_submission
from throughline.storage.objects import open_objects
from throughline.v1 import common_pb2 as common
from throughline.v1 import orchestrator_pb2 as pb

SEEN = Instant.parse(QUERY["observations"][0]["time"]).ns


def check(folder: Path, message: pb.SubmitJobRequest, **changes: Any) -> Submission:
    settings = settings_for(folder, "127.0.0.1:7", **changes)
    return check_submission(message, open_objects(settings), settings)


def options(**fields: Any) -> pb.SubmitJobRequest:
    return request(options=pb.JobOptions(**fields))


def test_a_good_request_is_taken_with_its_query(tmp_path: Path) -> None:
    submission = check(tmp_path, request())
    assert (submission.camera, submission.label) == ("cam1", "red coat")
    assert json.loads(submission.query_json) == QUERY
    everything = options(
        similarity_threshold=0.0,
        threshold_scale=common.SIMILARITY_SCALE_COSINE,
        analysis_rate=60,
        time_window=common.Interval(start_ns=SEEN - 10**9, end_ns=SEEN + 2 * 10**9),
        cameras=["cam1", "Kasse 3", "入口"],
        file_name_time_zone="Europe/Paris",
        clock_maps=[
            common.ClockMap(camera="cam1", offset_ns=-5, drift_ppb=1_000_000, reference_ns=SEEN, uncertainty_ns=3)
        ],
        redaction=pb.REDACTION_NONE,
        search_mode=pb.SEARCH_MODE_FULL,
        max_rounds=10,
        site="store 12",
        topology_yaml="overlaps: [[cam1, Kasse 3]]",
        review_deadline_seconds=2_592_000,
        max_candidates=10_000,
        labels={"k" * 256: "v" * 256},
    )
    assert check(tmp_path, everything).request == everything
    (tmp_path / "footage").mkdir()
    assert check(tmp_path, request(footage_uri=f"file://{tmp_path}/footage/"))


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (request(request_id=""), "request_id"),
        (request(request_id="a b"), "request_id"),
        (request(request_id="a" * 129), "request_id"),
        (request(footage_uri=""), "footage_uri"),
        (request(footage_uri="http://somewhere/"), "footage_uri"),
        (request(footage_uri="s3://UPPER/"), "footage_uri"),
        (request(footage_uri="file://relative/"), "footage_uri"),
        (request(query_json=None), "query: none given"),
        (options(similarity_threshold=1.01), "options.similarity_threshold"),
        (options(similarity_threshold=float("nan")), "options.similarity_threshold"),
        (options(threshold_scale=7), "options.threshold_scale"),
        (options(analysis_rate=0), "options.analysis_rate"),
        (options(analysis_rate=61), "options.analysis_rate"),
        (options(analysis_rate=float("nan")), "options.analysis_rate"),
        (options(analysis_rate=0.5, redaction=pb.REDACTION_HEADS), "options.analysis_rate: is 0.5; with redaction"),
        (options(redaction=9), "options.redaction: 9 is none"),
        (
            options(time_window=common.Interval(start_ns=2 * 10**9, end_ns=10**9)),
            "options.time_window: is 1970-01-01T00:00:02.000Z to 1970-01-01T00:00:01.000Z",
        ),
        (options(time_window=common.Interval(start_ns=-1, end_ns=2)), "options.time_window"),
        (options(cameras=["cam2"]), "options.cameras: lacks 'cam1'"),
        (options(cameras=["cam1", "cam1"]), "options.cameras.1.: names 'cam1' again"),
        (options(cameras=["cam1", "a/b"]), "options.cameras.1."),
        (options(cameras=[f"cam{index}" for index in range(10_001)]), "options.cameras: has 10001 entries"),
        (options(file_name_time_zone="Mars/Olympus"), "options.file_name_time_zone"),
        (options(file_name_time_zone="../../etc/passwd"), "options.file_name_time_zone"),
        (options(clock_maps=[common.ClockMap()]), "options.clock_maps.0."),
        (options(clock_maps=[common.ClockMap(camera="cam1", drift_ppb=1_000_001)]), "clock_maps.0..drift_ppb"),
        (options(clock_maps=[common.ClockMap(camera="cam1", offset_ns=2**62)]), "clock_maps.0..offset_ns"),
        (options(clock_maps=[common.ClockMap(camera="cam1", uncertainty_ns=-1)]), "clock_maps.0..uncertainty_ns"),
        (options(clock_maps=[common.ClockMap(camera="cam1")] * 2), "options.clock_maps.1.: names 'cam1' again"),
        (options(search_mode=7), "options.search_mode: 7 is none"),
        (options(max_rounds=11), "options.max_rounds: is 11; expected 1 to 10"),
        (options(max_rounds=-1), "options.max_rounds: is -1; expected 1 to 10"),
        (options(site="x" * 200), "options.site: has 200 characters; at most 128"),
        (options(site="store\n12"), r"options.site: 'store\\n12' has characters that nobody sees"),
        (options(site="store\u202e12"), "options.site: .* has characters that nobody sees"),
        (
            options(topology_yaml="transits: soon"),
            "options.topology_yaml: topology transits: is 'soon'; expected a list",
        ),
        (options(review_deadline_seconds=0), "options.review_deadline_seconds"),
        (options(max_candidates=10_001), "options.max_candidates"),
        (options(film=pb.FilmOptions(before_seconds=61)), "options.film.before_seconds"),
        (options(labels={str(index): "" for index in range(33)}), "options.labels: has 33"),
        (options(labels={"k": "v" * 257}), "options.labels.'k'."),
        (options(tier_target="nonsense"), "options.tier_target"),
        (options(tier_target="unix:/tmp/socket"), "options.tier_target"),
        (options(alert_target="http://hooks.example.com/x"), "use https"),
        (options(alert_target="https://user:password@hooks.example.com/x"), "options.alert_target"),
        (options(alert_target="127.0.0.1:99999"), "options.alert_target"),
        (options(callback_target="127.0.0.1"), "options.callback_target"),
    ],
)
def test_a_mistake_is_named_by_its_field(tmp_path: Path, message: pb.SubmitJobRequest, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        check(tmp_path, message, allowed_targets=("hooks.example.com", "127.0.0.1"), webhook_secret="s")


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    query = QUERY | {"camera": 7}
    bad = request(
        footage_uri="ftp://x",
        query_json=json.dumps(query),
        options=pb.JobOptions(analysis_rate=-1, max_rounds=11, tier_target="127.0.0.1:1"),
    )
    with pytest.raises(InvalidInput) as caught:
        check(tmp_path, bad)
    lines = str(caught.value).splitlines()
    assert len(lines) == 5
    for words in ("footage_uri", "query camera", "analysis_rate", "max_rounds", "tier_target"):
        assert any(words in line for line in lines), words


def test_a_mistake_in_the_query_is_answered_by_its_path(tmp_path: Path) -> None:
    query = json.loads(json.dumps(QUERY))
    query["observations"][1]["box"] = [1, 2, 3]
    with pytest.raises(InvalidQuery) as caught:
        check(tmp_path, request(query_json=json.dumps(query)))
    assert caught.value.path.startswith("observations[1]")


def test_a_query_outside_of_the_time_window_is_refused_by_the_cameras_own_clock(tmp_path: Path) -> None:
    hour = 3600 * 10**9
    window = common.Interval(start_ns=SEEN + hour, end_ns=SEEN + 2 * hour)
    with pytest.raises(InvalidQuery, match="expected a time within options") as caught:
        check(tmp_path, options(time_window=window))
    assert caught.value.path == "observations[0].time"
    slow = common.ClockMap(camera="cam1", offset_ns=hour)
    assert check(tmp_path, options(time_window=window, clock_maps=[slow]))
    measured = options(time_window=window, clock_maps=[slow])
    settings = settings_for(tmp_path, "127.0.0.1:7")
    asked = options(time_window=window, apply_measured_clocks=True)
    submission = check_submission(asked, open_objects(settings), settings, lambda _: (measured, ()))
    assert submission.request == measured
    assert submission.digest == digest_of(asked)
    doubtful = common.ClockMap(camera="cam1", uncertainty_ns=hour // 3)
    assert check(tmp_path, options(time_window=window, clock_maps=[doubtful]))


def test_the_query_may_lie_at_a_uri(tmp_path: Path) -> None:
    (tmp_path / "query.json").write_text(json.dumps(QUERY))
    good = request(query_json=None, query_uri=f"file://{tmp_path}/query.json")
    assert json.loads(check(tmp_path, good).query_json) == QUERY
    with pytest.raises(NotFound):
        check(tmp_path, request(query_json=None, query_uri=f"file://{tmp_path}/other.json"))
    with pytest.raises(PermissionDenied):
        check(tmp_path, request(query_json=None, query_uri="file:///etc/hostname"))
    (tmp_path / "huge.json").write_bytes(b" " * (16 * 2**20 + 1))
    with pytest.raises(LimitExceeded):
        check(tmp_path, request(query_json=None, query_uri=f"file://{tmp_path}/huge.json"))
    (tmp_path / "latin.json").write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(InvalidInput, match="UTF-8"):
        check(tmp_path, request(query_json=None, query_uri=f"file://{tmp_path}/latin.json"))


@pytest.mark.parametrize("uri", ["file:///etc/", "file://{home}/../", "file://{home}/link/"])
def test_footage_outside_of_the_allowed_roots_is_refused(tmp_path: Path, uri: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "link").symlink_to("/etc")
    with pytest.raises(PermissionDenied, match="footage_uri"):
        check(home, request(footage_uri=uri.format(home=home)))


@pytest.mark.parametrize(
    ("field", "target", "allowed"),
    [
        ("tier_target", "tier.example.com:7000", True),
        ("tier_target", "tier.example.com:7001", False),
        ("tier_target", "10.0.0.1:7000", False),
        ("callback_target", "hooks.example.com:1", True),
        ("alert_target", "https://hooks.example.com/films?a=1", True),
        ("alert_target", "https://hooks.example.com.evil.org/", False),
        ("alert_target", "https://169.254.169.254/latest", False),
        ("alert_target", "http://127.0.0.1:8080/", False),
        ("alert_target", "[::1]:7000", False),
    ],
)
def test_only_targets_on_the_allow_list_are_used(tmp_path: Path, field: str, target: str, allowed: bool) -> None:
    message = options(**{field: target})
    changes = {"allowed_targets": ("hooks.example.com", "tier.example.com:7000"), "webhook_secret": "s"}
    if allowed:
        assert check(tmp_path, message, **changes)
    else:
        with pytest.raises(PermissionDenied, match=field):
            check(tmp_path, message, **changes)


def test_only_buckets_on_the_allow_list_are_read(tmp_path: Path) -> None:
    allowed = {"allowed_buckets": ("footage", "workspace")}
    assert check(tmp_path, request(footage_uri="s3://footage/store-7/"), **allowed)
    for message in (
        request(footage_uri="s3://payroll/store-7/"),
        request(footage_uri="s3://footage.evil/store-7/"),
        request(query_json=None, query_uri="s3://payroll/query.json"),
    ):
        with pytest.raises(PermissionDenied, match="THROUGHLINE_ALLOWED_BUCKETS"):
            check(tmp_path, message, **allowed)


def test_a_deployment_without_defaults_needs_targets_in_the_request(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        check(tmp_path, request(), tier_target="", alert_target="", orchestrator_target="")
    assert len(str(caught.value).splitlines()) == 3
    with pytest.raises(InvalidInput, match="WEBHOOK_SECRET"):
        check(tmp_path, request(), alert_target="https://hooks.example.com/")


def test_the_same_request_is_the_same_job(client: Client, script: Script) -> None:
    script.hold("ListFootage")
    message = request(request_id="twice", options=pb.JobOptions(labels={"a": "1", "b": "2"}))
    first = client.call("SubmitJob", message)
    client.jobs.append(first.job_id)
    assert not first.existed
    again = client.call("SubmitJob", pb.SubmitJobRequest.FromString(message.SerializeToString()))
    assert (again.job_id, again.existed) == (first.job_id, True)
    for other in (request(request_id="twice"), request(request_id="twice", footage_uri="s3://footage/other/")):
        with pytest.raises(Conflict, match=first.job_id):
            client.call("SubmitJob", other)


def test_many_that_send_the_same_request_at_once_get_one_job(client: Client, script: Script) -> None:
    script.hold("ListFootage")
    message = request()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.call("SubmitJob", message), range(8)))
    client.jobs.append(answers[0].job_id)
    assert len({answer.job_id for answer in answers}) == 1
    assert sum(not answer.existed for answer in answers) == 1


def test_mistakes_travel_over_the_wire_with_their_class_and_path(client: Client) -> None:
    with pytest.raises(InvalidQuery) as caught:
        client.submit(query_json='{"camera": "cam1"}')
    assert caught.value.path
    with pytest.raises(ThroughlineError, match="footage_uri"):
        client.submit(footage_uri="file:///etc/")


def test_a_job_without_a_topology_is_given_the_deployments_of_that_moment(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text("overlaps: [[cam1, cam2]]")
    assert check(tmp_path, request(), topology_file=file).topology_yaml == "overlaps: [[cam1, cam2]]"
    own = options(topology_yaml="overlaps: []")
    assert check(tmp_path, own, topology_file=file).topology_yaml == "overlaps: []"
    assert check(tmp_path, request()).topology_yaml == ""
    file.write_text("overlap: []")
    with pytest.raises(
        FailedPrecondition, match=r"site.yaml, can't be used: topology has 'overlap', which is not known"
    ):
        check(tmp_path, request(), topology_file=file)
    with pytest.raises(FailedPrecondition, match="No such file"):
        check(tmp_path, request(), topology_file=tmp_path / "none.yaml")
