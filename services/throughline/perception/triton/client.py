"""The client that everything else infers through: pictures and packs of crops out, detections and descriptors back, many at once."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Gauge, Histogram
from pydantic import ValidationError
from tritonclient.grpc import service_pb2

from throughline.domain.errors import (
    Cancelled,
    CorruptArtifact,
    DependencyUnavailable,
    FailedPrecondition,
    NotFound,
)
from throughline.perception.triton.card import ModelCard, card_texts
from throughline.perception.triton.contract import check_contract
from throughline.perception.triton.rpc import PLAIN_TEXT, TritonRpc
from throughline.perception.triton.shared import SharedPictures, Sharing
from throughline.wire.metrics import QUICK_SECONDS
from throughline.wire.subject import carried
from throughline.wire.tls import TlsFiles

Picture = NDArray[np.uint8]
"""(height, width, 3) uint8 RGB, of the model's input size."""
Pack = NDArray[np.uint8]
"""(n, height, width, 3) uint8 RGB, of the model's input size."""

DETECTOR, REID = "detector", "reid"

_DTYPES = {"FP32": np.float32, "INT32": np.int32}
_T = TypeVar("_T")
_SECONDS = Histogram(
    "throughline_triton_request_seconds",
    "Requests to Triton, of a picture or a few crops each, all attempts together; outcome is ok, or the name of the error",
    ["model", "outcome"],
    buckets=QUICK_SECONDS,
)
_IN_FLIGHT = Gauge("throughline_triton_in_flight", "Requests that Triton can make batches of just now", ["model"])


@dataclass(frozen=True, slots=True)
class Detections:
    """What the detector found in one picture, best first.

    boxes: (k, 4) float32, xyxy, pixels of the picture that was sent; scores: (k,) float32 in 0..1; classes: (k,) int32, positions in
    the card's class names.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class ModelStatistics:
    """Counted since the server started: pictures, and the batches that they were executed in."""

    inference_count: int
    execution_count: int

    @property
    def mean_batch(self) -> float:
        return self.inference_count / self.execution_count if self.execution_count else 0.0


class InferenceClient:
    """Sends requests to Triton, up to `max_in_flight` at once and the others in turn, which the server gathers into batches. How many
    wait for their turn is up to its callers.

    Threads rather than an event loop: each mostly waits in gRPC without holding the interpreter, and callers stay plain functions.
    """

    def __init__(
        self,
        address: str,
        *,
        max_in_flight: int = 16,
        patience_seconds: float = 60.0,
        request_timeout_seconds: float = 30.0,
        tls: TlsFiles = PLAIN_TEXT,
        sharing: Sharing = "auto",
    ) -> None:
        """`address` is `host:port` of Triton's gRPC. While the server is away, as at its start or after a crash, a request is tried
        again for up to `patience_seconds`. `sharing`: whether pictures are handed over in shared memory where the server can read
        it. Raises InvalidInput for files of `tls` that can't be used."""
        self._rpc = TritonRpc(address, patience_seconds, request_timeout_seconds, tls)
        self._shared = SharedPictures(self._rpc, sharing)
        self._digests: dict[str, str] = {}
        self._versions: dict[str, str] = {}
        self._largest: dict[str, int] = {}
        self._workers = ThreadPoolExecutor(max_in_flight, thread_name_prefix="triton-client")

    def wait_ready(self, deadline_seconds: float, models: Sequence[str] = (DETECTOR, REID)) -> None:
        """Wait until the server and `models` can be used. Raises DependencyUnavailable when that takes longer than allowed."""
        deadline = time.monotonic() + deadline_seconds
        for name in models:
            request = service_pb2.ModelReadyRequest(name=name)
            while not self._rpc.call("ModelReady", request, max(0.0, deadline - time.monotonic())).ready:
                if time.monotonic() > deadline:
                    raise DependencyUnavailable(
                        f"model {name} of Triton at {self._rpc.address} was not ready within {deadline_seconds:g} s; see its log"
                    )
                time.sleep(0.1)

    def model(self, name: str, patience_seconds: float | None = None) -> ModelCard:
        """The card of a model as it is served now: its input size, classes or dimension, digest and calibration.

        `patience_seconds`: other than the client's own.

        Raises NotFound when it isn't served, CorruptArtifact when it was served without a card, FailedPrecondition when it takes
        or gives something else than its card promises.
        """
        config = self._rpc.call("ModelConfig", service_pb2.ModelConfigRequest(name=name), patience_seconds).config
        try:
            cards = {key: ModelCard.model_validate_json(text) for key, text in card_texts(config).items()}
        except ValidationError as error:
            raise CorruptArtifact(
                f"model {name} of Triton at {self._rpc.address} carries no card; build it with `throughline models build`"
            ) from error
        card = self._pinned_card(name, cards)
        check_contract(card, config, self._rpc.address)
        self._largest[name] = max(1, config.max_batch_size)
        return card

    def largest_batch(self, name: str) -> int:
        """How many pictures one request to a model may hold, as it was when `model` was last asked for it."""
        return self._largest[name]

    def pinned(self, digests: Mapping[str, str]) -> InferenceClient:
        """A view of this client that uses these models only: by name, their digests. It sends to the versions that they are served as.

        Raises FailedPrecondition where one of them isn't served any more; so does `model`, later on.
        """
        view = copy.copy(self)
        view._digests, view._versions = dict(digests), {}
        for name in digests:
            view.model(name)
        return view

    def _pinned_card(self, name: str, cards: Mapping[str, ModelCard]) -> ModelCard:
        """The card of the pinned model, else of the newest; remembers which version it is."""
        digest = self._digests.get(name)
        if digest is None:
            return cards[""]
        for version, card in cards.items():
            if card.digest == digest and (version or len(cards) == 1):
                self._versions[name] = version or self._only_version(name)
                return card
        raise FailedPrecondition(
            f"model {name} {digest[:12]}, which this work is pinned to, is no longer served by Triton at {self._rpc.address} "
            f"({', '.join(sorted({card.digest[:12] for card in cards.values()}))}); serve it again, or submit a new job"
        )

    def _only_version(self, name: str) -> str:
        """Of a model whose configuration names none, which is one that was never replaced."""
        if name not in self._versions:
            metadata = self._rpc.call("ModelMetadata", service_pb2.ModelMetadataRequest(name=name))
            self._versions[name] = str(min(metadata.versions, key=int))
        return self._versions[name]

    def check_served(self, *cards: ModelCard) -> None:
        """Raise DependencyUnavailable where another model is served under a card's name than when the card was read.

        To be asked after the last answer and before anything is made of the answers: so no work is of two models.
        """
        for card in cards:
            digest = self.model(card.name).digest
            if digest != card.digest:
                raise DependencyUnavailable(
                    f"model {card.name} of Triton at {self._rpc.address} was replaced ({card.digest[:12]} by {digest[:12]}) during "
                    "the work, which begins again with the new one"
                )

    def detect(self, image: Picture) -> Future[Detections]:
        """Find people in a letterboxed picture."""
        return self._submit(lambda: self._detect(image))

    def embed(self, crops: Pack, model: str = REID) -> Future[NDArray[np.float32]]:
        """The descriptors of crops by a ReID model, `largest_batch` of them at most: (n, d) float32, each of length 1."""
        return self._submit(lambda: self._infer(model, "crops", crops)["embeddings"])

    def statistics(self, name: str, patience_seconds: float | None = None) -> ModelStatistics:
        """How many pictures the model has had, and in how many batches. `patience_seconds`: other than the client's own."""
        answer = self._rpc.call("ModelStatistics", service_pb2.ModelStatisticsRequest(name=name), patience_seconds)
        return ModelStatistics(
            sum(each.inference_count for each in answer.model_stats),
            sum(each.execution_count for each in answer.model_stats),
        )

    def close(self) -> None:
        """Drop what has not been sent and end the connection."""
        self._shared.close()
        self._rpc.close()
        self._workers.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _submit(self, work: Callable[[], _T]) -> Future[_T]:
        try:
            return self._workers.submit(carried(work))
        except RuntimeError as error:  # the workers were shut down
            raise Cancelled(f"the client of Triton at {self._rpc.address} was closed") from error

    def _detect(self, image: Picture) -> Detections:
        found = self._infer(DETECTOR, "images", image[None])
        k = int(found["count"].item())
        return Detections(found["boxes"][0, :k], found["scores"][0, :k], found["classes"][0, :k])

    def _infer(self, model: str, input_name: str, pack: Pack) -> dict[str, NDArray[Any]]:
        """Outputs by name, each with a batch axis."""
        tensor = service_pb2.ModelInferRequest.InferInputTensor(name=input_name, datatype="UINT8", shape=pack.shape)
        request = service_pb2.ModelInferRequest(
            model_name=model, model_version=self._versions.get(model, ""), inputs=[tensor]
        )
        with _counted(model):
            answer = self._answer(request, pack)
        return {
            output.name: np.frombuffer(raw, _DTYPES[output.datatype]).reshape(tuple(output.shape))
            for output, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)
            if output.datatype in _DTYPES
        }

    def _answer(self, request: service_pb2.ModelInferRequest, pack: Pack) -> Any:
        """To a request that lacks its pictures."""
        with self._shared.region(pack.nbytes) as region:
            if region is not None:
                shared = service_pb2.ModelInferRequest()
                shared.CopyFrom(request)
                region.put(pack, shared.inputs[0])
                try:
                    return self._rpc.call("ModelInfer", shared)
                except NotFound as error:
                    region.known = region.name not in str(error)
                    if region.known:
                        raise
        request.raw_input_contents.append(pack.tobytes())
        return self._rpc.call("ModelInfer", request)


@contextmanager
def _counted(model: str) -> Iterator[None]:
    """Count and time a request."""
    began, outcome = time.monotonic(), "ok"
    in_flight = _IN_FLIGHT.labels(model)
    in_flight.inc()
    try:
        yield
    except Exception as error:
        outcome = type(error).__name__
        raise
    finally:
        in_flight.dec()
        _SECONDS.labels(model, outcome).observe(time.monotonic() - began)
