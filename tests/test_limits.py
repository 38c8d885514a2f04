from __future__ import annotations

import re
from pathlib import Path

from throughline.media.probe import LARGEST_PX, SMALLEST_PX
from throughline.orchestrator.answers import ANSWERS_AT_MOST
from throughline.orchestrator.search_steps import DEFAULT_CANDIDATES
from throughline.orchestrator.settings import OrchestratorSettings
from throughline.orchestrator.submission import (
    CAMERAS_AT_MOST,
    CANDIDATES_AT_MOST,
    LABEL_AT_MOST,
    LONGEST_NAME_BYTES,
)
from throughline.renderer.requests import MOST_TRACKS
from throughline.renderer.settings import FilmSettings
from throughline.tier.reviews import PAIRS_AT_MOST
from throughline.wire.convert import MAX_SIDE_PX
from throughline.wire.film_options import MOST_TILES
from throughline.wire.query_document import MAX_BYTES, MAX_OBSERVATIONS

PAGE = Path(__file__).parents[1] / "docs" / "security.md"


def test_the_table_of_limits_in_the_docs_is_what_the_code_holds() -> None:
    settings = OrchestratorSettings.model_construct()
    assert LARGEST_PX == MAX_SIDE_PX
    assert _listed() == {
        "a message": f"{settings.max_message_bytes // 2**20} MiB",
        "calls at once, each server": f"{settings.max_workers} at work, half of them at most WatchJob",
        "calls that wait": f"{settings.max_waiting}; further ones are refused, and may be made again later",
        "pings of a client": "one in 10 s without calls; whoever sends more is cut off",
        "a connection's life": f"{settings.connection_seconds:.0f} s, then it is made anew",
        "jobs at once, each orchestrator": f"{settings.job_concurrency}; others queue",
        "a query": f"{MAX_BYTES // 2**20} MiB of JSON, {MAX_OBSERVATIONS:,} observations",
        "cameras and clock maps of a job": f"{CAMERAS_AT_MOST:,} named each",
        "a camera's name, a chunk's key": f"{LONGEST_NAME_BYTES:,} bytes",
        "a label of a job, its name and its value": f"{LABEL_AT_MOST} characters each",
        "a side of a frame": f"{SMALLEST_PX} to {LARGEST_PX:,} pixels",
        "answers in one AnnotationResult": f"{ANSWERS_AT_MOST:,}",
        "pairs in one ReviewPairs": f"{PAIRS_AT_MOST:,}",
        "pairs of one RenderPairs, tracks of one film": f"{MOST_TRACKS:,}",
        "cameras in one picture of a film": f"{FilmSettings().max_tiles} by default, {MOST_TILES} at most",
        "candidates of a job": f"{DEFAULT_CANDIDATES} by default, {CANDIDATES_AT_MOST:,} at most",
        "an answer of a webhook": f"{settings.webhook_timeout_seconds:.0f} s in all",
    }


def _listed() -> dict[str, str]:
    table = PAGE.read_text().partition("## Limits")[2].partition("\n\nA test holds")[0]
    rows = re.findall(r"^\| (.+?) \| (.+?) \| .*\|$", table, re.MULTILINE)
    return dict(rows[2:] if rows[1][0].startswith("-") else rows[1:])
