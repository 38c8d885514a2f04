"""What the orchestrator is told from outside."""

from __future__ import annotations

import socket
from pathlib import Path

from pydantic import Field, SecretStr

from throughline.wire.settings import ServiceSettings

_DAY = 86_400.0


class OrchestratorSettings(ServiceSettings):
    """From THROUGHLINE_* variables."""

    database_url: str = Field(
        default="sqlite:///build/orchestrator.db",
        description="where jobs, answers and the workflow's state are kept: sqlite:///path on one machine, a Postgres URL for many",
    )
    executor_id: str = Field(
        default_factory=socket.gethostname,
        min_length=1,
        max_length=128,
        description="names this process among the orchestrators of its database, by default after its host; one that is started "
        "again under the same name goes on at once, and the one before it, should it still run, ends",
    )
    heartbeat_seconds: float = Field(default=3.0, gt=0, description="pause between two signs of life of this process")
    takeover_seconds: float = Field(
        default=39.0,
        gt=0,
        description="how long another process may give no sign of life before its work is taken over; "
        "best longer than the 30 s after which servers give up calls of a client that is frozen",
    )

    ingest_target: str = Field(default="127.0.0.1:7401", description="host:port of Ingest")
    tracker_target: str = Field(default="127.0.0.1:7402", description="host:port of Tracker")
    renderer_target: str = Field(default="127.0.0.1:7403", description="host:port of Renderer")
    tier_target: str = Field(default="", description="host:port of the tier, for jobs that name none")
    alert_target: str = Field(
        default="", description="host:port of an Alert service or URL of a webhook, for jobs that name none"
    )
    orchestrator_target: str = Field(
        default="", description="host:port where a tier reaches AnnotationResult, for jobs that name none"
    )
    allowed_targets: tuple[str, ...] = Field(
        default=(),
        description="host or host:port of the tiers, callbacks and alerts that jobs may name besides the deployment's own",
    )
    outside_token: SecretStr = Field(
        default=SecretStr(""),
        description="sent to a tier or an Alert service that a job names; `token` goes to our own only",
    )
    webhook_secret: SecretStr = Field(
        default=SecretStr(""), description="key of the signature of webhooks; without it none are sent"
    )
    webhook_timeout_seconds: float = Field(default=15.0, gt=0, description="how long a webhook may take to answer")

    topology_file: Path | None = Field(
        default=None,
        description="YAML file of what is known of the site, for jobs that bring none: transit times between cameras and "
        "overlapping views; read for each job as it is submitted",
    )
    learn_transits: bool = Field(
        default=False,
        description="whether candidates are weighed by transit times learned from the answers of earlier jobs of the same site",
    )
    correct_calibration: bool = Field(
        default=True,
        description="whether similarities of a job that names its site are corrected by what the site's reviewers answered so far",
    )

    evidence_key_file: Path | None = Field(
        default=None,
        description="Ed25519 key in PEM (PKCS #8) that signs the evidence of films; without it they have unsigned evidence",
    )

    camera_concurrency: int = Field(
        default=4, ge=1, description="cameras that this process has at work at once, over all jobs"
    )
    pairs_concurrency: int = Field(
        default=2, ge=1, description="calls for pair clips that this process has running at once"
    )
    pairs_per_call: int = Field(default=50, ge=1, description="pairs in one call for clips")
    job_concurrency: int = Field(default=256, ge=1, description="jobs that this process carries at once; others queue")
    poll_seconds: float = Field(
        default=0.25, gt=0, description="pause between two looks into the queues and at a watched job"
    )

    sweep_seconds: float = Field(default=5.0, gt=0, description="pause between two looks for deadlines and reminders")
    reminder_seconds: float = Field(
        default=_DAY, ge=0, description="pause before each reminder of the pairs that are still open; 0 sends none"
    )

    retry_first_seconds: float = Field(
        default=0.5, gt=0, description="pause before a failed call is tried again; doubles each time"
    )
    retry_most_seconds: float = Field(default=60.0, gt=0, description="longest pause between two attempts")
    stage_patience_seconds: float = Field(
        default=_DAY, ge=0, description="how long a stage may fail to answer before the job fails"
    )
    outside_patience_seconds: float = Field(
        default=7 * _DAY,
        ge=0,
        description="how long a tier or an alert target may be out of reach before the job fails",
    )
    unexplained_attempts: int = Field(
        default=8,
        ge=1,
        description="how often in a row a stage, tier or alert target may fail with an error that says nothing (INTERNAL, UNKNOWN) "
        "before the job fails; with the usual pauses about 2 min",
    )
    silence_seconds: float = Field(
        default=900.0, gt=0, description="how long a running call may say nothing before it is given up and tried again"
    )
