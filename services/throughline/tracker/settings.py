"""What the tracker is told from outside."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from throughline.perception.associate import AssociationSettings
from throughline.perception.gate import GateSettings
from throughline.perception.triton.rpc import TLS_SETTINGS
from throughline.perception.triton.shared import Sharing
from throughline.tracker.join import JoinSettings
from throughline.wire.settings import ServiceSettings
from throughline.wire.tls import TlsFiles


class TrackerSettings(ServiceSettings):
    """From THROUGHLINE_* variables."""

    triton_target: str = Field(default="127.0.0.1:8001", description="host:port of Triton's gRPC")
    triton_patience_seconds: float = Field(
        default=60.0, ge=0, description="how long a request to Triton is tried again while Triton is away"
    )
    triton_sharing: Sharing = Field(
        default="auto",
        description="whether Triton gets pictures in shared memory: auto, where triton_target is an address of this machine; on, where "
        "it is another container with the same /dev/shm; off. Where it can't read them they go by gRPC",
    )
    triton_tls_ca: Path | None = Field(
        default=None,
        description="authority of Triton's certificate, PEM; TLS is used, and verified with it, when it is given",
    )
    triton_tls_certificate: Path | None = Field(
        default=None, description="certificate chain that is shown to a Triton that asks for one, PEM"
    )
    triton_tls_key: Path | None = Field(default=None, description="key of that certificate, PEM")
    triton_in_flight: int = Field(
        default=32, ge=1, description="requests to Triton under way at once, of all cameras together"
    )
    frames_in_flight: int = Field(
        default=24, ge=1, description="frames of one camera decoded and with the detector at once"
    )
    crops_in_flight: int = Field(default=64, ge=1, description="crops of one camera with the ReID model at once")
    decoder_threads: int = Field(default=3, ge=0, description="threads of each video decoder; 0 leaves it to FFmpeg")
    piece_seconds: float = Field(
        default=300.0, gt=0, description="longer chunks are cut into pieces of this length, each cached on its own"
    )
    crops_per_track: int = Field(
        default=12, ge=1, le=64, description="crops embedded of each track at most, clear ones first"
    )
    activation_score: float = Field(default=0.6, ge=0, le=1, description="least detector score that begins a track")
    high_score: float = Field(
        default=0.5, ge=0, le=1, description="detections below it only prolong tracks; at most activation_score"
    )
    least_overlap: float = Field(
        default=0.4,
        ge=0,
        le=1,
        description="least IoU times score at which a box continues a track; higher: fewer mixed-up people, more broken tracks",
    )
    lost_seconds: float = Field(default=1.5, ge=0, description="a person out of sight for longer is a new track")
    longest_gap_seconds: float = Field(
        default=2.0, gt=0, description="no track goes on over a longer gap in the footage"
    )
    least_boxes: int = Field(default=3, ge=2, description="tracks of fewer boxes are noise and left out")
    least_end_score: float = Field(
        default=0.35,
        ge=0,
        le=1,
        description="detections below it with which a track ends, up to 3 s of them, are left out",
    )

    skip_quiet: bool = Field(
        default=True,
        description="where packets and looks tell that nobody can have appeared, only now and then a frame is analysed",
    )
    look_seconds: float = Field(
        default=2.0, gt=0, le=2.0, description="in quiet footage a frame is looked at so often at least"
    )
    look_score: float = Field(
        default=0.2,
        ge=0,
        le=0.2,
        description="detector score from which on somebody may be there, so nothing is skipped; at most 0.2, on which redaction relies",
    )
    follow_camera: bool = Field(
        default=False,
        description="for cameras that move: take their motion, as the boxes show it, out before people are associated",
    )
    join_seconds: float = Field(
        default=0.0, ge=0, description="tracks of one person are joined over at most this long out of sight; 0: never"
    )
    join_likelihood: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="least probability of the same person, by looks, at which tracks are joined",
    )

    @property
    def triton_tls(self) -> TlsFiles:
        return TlsFiles(TLS_SETTINGS, self.triton_tls_certificate, self.triton_tls_key, self.triton_tls_ca)

    @property
    def gate(self) -> GateSettings | None:
        """None: every frame is analysed."""
        if not self.skip_quiet:
            return None
        lingers = max(GateSettings().linger_seconds, self.lost_seconds)
        return GateSettings(self.look_seconds, lingers, min(self.look_score, self.high_score))

    @property
    def joining(self) -> JoinSettings:
        return JoinSettings(longest_seconds=self.join_seconds, least_likelihood=self.join_likelihood)

    @property
    def association(self) -> AssociationSettings:
        return AssociationSettings(
            activation_score=self.activation_score,
            high_score=self.high_score,
            least_overlap=self.least_overlap,
            lost_seconds=self.lost_seconds,
            longest_gap_seconds=self.longest_gap_seconds,
            least_boxes=self.least_boxes,
            least_end_score=self.least_end_score,
            follow_camera=self.follow_camera,
        )
