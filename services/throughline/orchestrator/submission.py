"""Finds everything that is wrong with a job before it is taken."""

from __future__ import annotations

import math
import re
import zoneinfo
from collections.abc import Callable, Iterator

from throughline.domain.errors import FailedPrecondition, InvalidInput, PermissionDenied, ThroughlineError
from throughline.domain.time import Instant
from throughline.domain.work import Incident
from throughline.orchestrator.jobs import Submission
from throughline.orchestrator.requests import check_request_id, digest_of
from throughline.orchestrator.rounds import MOST_ROUNDS
from throughline.orchestrator.settings import OrchestratorSettings
from throughline.orchestrator.targets import check_targets
from throughline.orchestrator.window import camera_window
from throughline.storage.objects import ObjectStore
from throughline.v1.common_pb2 import ClockMap, SimilarityScale
from throughline.v1.orchestrator_pb2 import (
    REDACTION_NONE,
    REDACTION_UNSPECIFIED,
    JobOptions,
    Redaction,
    SearchMode,
    SubmitJobRequest,
)
from throughline.wire.film_options import film_problems
from throughline.wire.query_document import MAX_BYTES, QueryDocument, check_times, parse_query
from throughline.wire.topology_document import parse_topology

_FOOTAGE = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?|file:///.*", re.DOTALL)
CAMERAS_AT_MOST = 10_000
LONGEST_NAME_BYTES = 1024
"""Of S3, for a whole key in UTF-8."""
CANDIDATES_AT_MOST = 10_000
REDACTION_LEAST_RATE = 1
"""Frames per second: nobody can be hidden over a second from a look of the detector."""
SITE_AT_MOST = 128
LABEL_AT_MOST = 256
"""Characters of a label's name or value."""
_YEAR_NS = 366 * 86_400 * 10**9
_LATEST_NS = 2**63 - 1 - 2 * _YEAR_NS


Corrected = tuple[SubmitJobRequest, tuple[Incident, ...]]
"""A request with all the clocks that its job has, and what to tell of those."""


def as_it_came(request: SubmitJobRequest) -> Corrected:
    """No clock is known but those that it brings."""
    return request, ()


def check_submission(
    request: SubmitJobRequest,
    objects: ObjectStore,
    settings: OrchestratorSettings,
    correct: Callable[[SubmitJobRequest], Corrected] = as_it_came,
) -> Submission:
    """A request that can be run, with its query; reads the query where it is given by URI. `correct` gives it its clocks.

    Raises the one error there is, or InvalidInput that lists them all, a line each.
    """
    problems = [*_basic_problems(request, objects), *_option_problems(request.options)]
    options = request.options
    problems += check_targets(options.tier_target, options.callback_target, options.alert_target, settings)
    text, document = "", None
    try:
        text = _query_text(request, objects)
        document = parse_query(text)
    except ThroughlineError as error:
        problems.append(error)
    if document is not None:
        problems += _query_problems(document, options)
        if not problems:
            corrected, incidents = correct(request)
            _check_window(document, corrected.options)
            topology = _topology_text(options, settings)
            digest = digest_of(request)
            return Submission(corrected, digest, text, document.camera, document.label, topology, incidents)
    raise _joined(problems)


def _joined(problems: list[ThroughlineError]) -> ThroughlineError:
    if len(problems) == 1:
        return problems[0]
    kinds = {type(problem) for problem in problems}
    kind = PermissionDenied if kinds == {PermissionDenied} else InvalidInput
    return kind("\n".join(str(problem) for problem in problems))


def _basic_problems(request: SubmitJobRequest, objects: ObjectStore) -> Iterator[ThroughlineError]:
    try:
        check_request_id(request.request_id)
    except InvalidInput as error:
        yield error
    uri = request.footage_uri
    if len(uri) > 2048 or not _FOOTAGE.fullmatch(uri):
        yield InvalidInput(
            f"footage_uri: {uri[:200]!r} is no place of footage; expected s3://bucket/prefix/ or file:///folder/"
        )
        return
    try:
        objects.local_path(uri)  # file:// outside of the allowed roots ends here
    except ThroughlineError as error:
        yield type(error)(f"footage_uri: {error}")


def _query_text(request: SubmitJobRequest, objects: ObjectStore) -> str:
    """The query's JSON, wherever it is."""
    source = request.WhichOneof("query")
    if source is None:
        raise InvalidInput("query: none given; set query_json, or query_uri to where it lies")
    if source == "query_json":
        return request.query_json
    content = objects.read(request.query_uri, MAX_BYTES)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"query_uri: {request.query_uri} is not UTF-8 text: {error}") from error


def _query_problems(document: QueryDocument, options: JobOptions) -> Iterator[ThroughlineError]:
    if options.cameras and document.camera not in options.cameras:
        yield InvalidInput(
            f"options.cameras: lacks {document.camera!r}, the query's camera; add it, or leave the list empty for all"
        )


def _check_window(document: QueryDocument, options: JobOptions) -> None:
    window = camera_window(options, document.camera)
    if window is not None:
        check_times(document, window, "options.time_window")


def _option_problems(options: JobOptions) -> Iterator[ThroughlineError]:
    for problem in (
        *_numbers(options),
        *_time(options),
        *_cameras(options),
        *_labels(options),
        *_film(options),
        *_topology(options),
    ):
        yield InvalidInput(f"options.{problem}")


def _numbers(options: JobOptions) -> Iterator[str]:
    if options.HasField("similarity_threshold") and not 0 <= options.similarity_threshold <= 1:
        yield f"similarity_threshold: is {options.similarity_threshold}; expected 0 to 1"
    if options.threshold_scale not in SimilarityScale.values():
        yield f"threshold_scale: {options.threshold_scale} is no scale; expected calibrated or cosine"
    rate = options.analysis_rate
    if options.HasField("analysis_rate") and not (math.isfinite(rate) and 0 < rate <= 60):
        yield f"analysis_rate: is {rate}; expected over 0 to 60 frames per second"
    elif options.HasField("analysis_rate") and _redacts(options) and rate < REDACTION_LEAST_RATE:
        yield f"analysis_rate: is {rate}; with redaction at least {REDACTION_LEAST_RATE}, or people go by between two looks"
    if options.redaction not in Redaction.values():
        yield f"redaction: {options.redaction} is none; expected none, heads or bodies"
    if not 0 <= options.max_candidates <= CANDIDATES_AT_MOST:
        yield f"max_candidates: is {options.max_candidates}; expected 1 to {CANDIDATES_AT_MOST}, or 0 for 500"
    if options.search_mode not in SearchMode.values():
        yield f"search_mode: {options.search_mode} is none; expected full or fast"
    if not 0 <= options.max_rounds <= MOST_ROUNDS:
        yield f"max_rounds: is {options.max_rounds}; expected 1 to {MOST_ROUNDS}, or 0 for 1"
    if options.HasField("review_deadline_seconds") and not 1 <= options.review_deadline_seconds <= 2_592_000:
        yield f"review_deadline_seconds: is {options.review_deadline_seconds}; expected 1 to 2592000"


def _redacts(options: JobOptions) -> bool:
    return options.redaction not in (REDACTION_UNSPECIFIED, REDACTION_NONE)


def _time(options: JobOptions) -> Iterator[str]:
    zone = options.file_name_time_zone
    try:
        zoneinfo.ZoneInfo(zone or "UTC")
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        yield f"file_name_time_zone: {zone[:100]!r} is no IANA time zone; expected one such as Europe/Paris"
    window = options.time_window
    if options.HasField("time_window") and not 0 <= window.start_ns < window.end_ns <= _LATEST_NS:
        ends = (window.start_ns, window.end_ns)
        told = map(Instant, ends) if all(0 <= each <= _LATEST_NS for each in ends) else ends
        yield f"time_window: is {' to '.join(map(str, told))}; expected nanoseconds since 1970, the end after the start"


def _cameras(options: JobOptions) -> Iterator[str]:
    for field, names in (
        ("cameras", list(options.cameras)),
        ("clock_maps", [clock.camera for clock in options.clock_maps]),
    ):
        if len(names) > CAMERAS_AT_MOST:
            yield f"{field}: has {len(names)} entries; at most {CAMERAS_AT_MOST}"
            return
        seen = set()
        for index, name in enumerate(names):
            if not name or "/" in name or len(name.encode()) > LONGEST_NAME_BYTES:
                yield f"{field}[{index}]: {name[:100]!r} is no camera; expected the name of a folder"
            elif name in seen:
                yield f"{field}[{index}]: names {name!r} again; once is enough"
            seen.add(name)
    for index, clock in enumerate(options.clock_maps):
        yield from _clock(index, clock)


def _clock(index: int, clock: ClockMap) -> Iterator[str]:
    where = f"clock_maps[{index}]"
    if abs(clock.offset_ns) > _YEAR_NS:
        yield f"{where}.offset_ns: is {clock.offset_ns}; expected at most a year either way"
    if abs(clock.drift_ppb) > 1_000_000:
        yield f"{where}.drift_ppb: is {clock.drift_ppb}; expected -1000000 to 1000000"
    if not 0 <= clock.uncertainty_ns <= _YEAR_NS:
        yield f"{where}.uncertainty_ns: is {clock.uncertainty_ns}; expected 0 to a year"
    if not 0 <= clock.reference_ns <= _LATEST_NS:
        yield f"{where}.reference_ns: is {clock.reference_ns}; expected nanoseconds since 1970"


def _film(options: JobOptions) -> Iterator[str]:
    yield from (f"film.{problem}" for problem in film_problems(options.film))


def _topology(options: JobOptions) -> Iterator[str]:
    if len(options.site) > SITE_AT_MOST:
        yield f"site: has {len(options.site)} characters; at most {SITE_AT_MOST}"
    elif not options.site.isprintable():
        yield f"site: {options.site!r} has characters that nobody sees; expected letters, digits, signs and plain spaces"
    if options.topology_yaml:
        try:
            parse_topology(options.topology_yaml)
        except InvalidInput as error:
            yield f"topology_yaml: {error}"


def _topology_text(options: JobOptions, settings: OrchestratorSettings) -> str:
    """The job's topology, or the deployment's as it is now. Raises FailedPrecondition where that is none."""
    if options.topology_yaml or settings.topology_file is None:
        return options.topology_yaml
    try:
        text = settings.topology_file.read_text("utf-8-sig")
        parse_topology(text)
    except (OSError, UnicodeDecodeError, InvalidInput) as error:
        raise FailedPrecondition(
            f"the deployment's topology, {settings.topology_file}, can't be used: {error}; have it mended, or bring topology_yaml"
        ) from error
    return text


def _labels(options: JobOptions) -> Iterator[str]:
    if len(options.labels) > 32:
        yield f"labels: has {len(options.labels)} entries; at most 32"
    for key in sorted(options.labels):
        if max(len(key), len(options.labels[key])) > LABEL_AT_MOST:
            yield f"labels[{key[:60]!r}]: has more than {LABEL_AT_MOST} characters"
