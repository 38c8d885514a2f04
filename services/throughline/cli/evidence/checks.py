"""Checks of evidence: its signature, its account of the film, every file and chunk that it names, and the copied pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from throughline.cli.evidence.finding import Finding, Outcome, film_time, spans_ns
from throughline.cli.evidence.places import Places
from throughline.domain.errors import ThroughlineError
from throughline.domain.evidence import Evidence, EvidenceFile, Method, Role, SpanFacts, TileFacts
from throughline.domain.footage import Listing, Reel
from throughline.ingest.listing import DEFAULT_EXTENSIONS, list_footage
from throughline.media.coded import Bytes, Incomparable, compare, holds_pictures_whole
from throughline.storage import documents
from throughline.storage.evidence import FILE, SealedEvidence
from throughline.storage.manifest import describe_file
from throughline.storage.signing import PublicKey

_ACCOUNT = "reel.json"
_NAMED = 10


def check_signature(sealed: SealedEvidence, trusted: Mapping[str, PublicKey]) -> Finding:
    """Who signed the evidence, and whether that is somebody trusted."""
    subject, stated = f"signature of {FILE}", sealed.stated_key
    signer = sealed.evidence.signer
    if sealed.signature is None and signer is None:
        detail = "nobody signed it, so whoever could write it may have changed it"
        if trusted:
            return Finding(Outcome.CHANGED, subject, f"{detail}; yet a key to check it with is there")
        return Finding(Outcome.UNCHECKED, subject, detail)
    by = next((key for key in trusted.values() if sealed.is_signed_by(key)), None)
    if by is not None and by == stated:
        return Finding(Outcome.RIGHT, subject, f"made by key {by.key_id}, which is trusted")
    if stated is None or not sealed.is_signed_by(stated):
        detail = (
            "it doesn't fit: the manifest was changed after it was signed, and nothing that it says can be relied upon"
        )
        return Finding(Outcome.CHANGED, subject, detail)
    if trusted:
        known = ", ".join(trusted)
        detail = f"made by key {stated.key_id}, which is not trusted (trusted: {known}); it may have been signed anew"
        return Finding(Outcome.CHANGED, subject, detail)
    detail = f"it fits, by key {stated.key_id}; whose that is can't be told without --public-key"
    return Finding(Outcome.UNCHECKED, subject, detail)


class Checker:
    """Checks everything that evidence says, with what can be reached."""

    def __init__(self, places: Places, with_searched: bool = False) -> None:
        """`with_searched`: check the chunks too that were searched and that the film doesn't show."""
        self._places = places
        self._with_searched = with_searched
        self._evidence: Evidence = places.evidence
        self._right: set[str] = set()
        """Digests of files that are as they were."""
        self._known = {file.sha256: f"{_kind(file)} {file.name}" for file in self._evidence.files} | {
            source.sha256: f"chunk {source.camera}/{source.name}" for source in self._evidence.sources
        }

    def run(self) -> Iterator[Finding]:
        """All findings, in the order in which things are looked at."""
        account = self._account()
        yield account
        for file in self._evidence.files:
            yield self._file(file)
        for index, source in enumerate(self._evidence.sources):
            spans = spans_ns(self._evidence.spans_of(index))
            subject, uri = f"chunk {source.camera}/{source.name}", self._places.chunk(source.uri)
            yield self._digest(subject, uri, source.size_bytes, source.sha256, spans, source.etag)
        if self._with_searched:
            yield from self._searched()
        if account.outcome is Outcome.RIGHT:
            for span in self._evidence.spans:
                if span.method is Method.COPIED:
                    yield self._copied(span)
        yield from self._newcomers()

    def _account(self) -> Finding:
        """Whether the spans cover the film, and what they name is there."""
        evidence = self._evidence
        subject = "account of the film"
        holes = tuple(evidence.holes())
        if holes:
            return Finding(Outcome.CHANGED, subject, "its spans leave holes or overlap", spans=holes)
        sources = range(len(evidence.sources))
        lost = [
            span for span in evidence.spans for tile in span.tiles for each in tile.bytes if each.source not in sources
        ]
        if lost:
            return Finding(Outcome.CHANGED, subject, "it names chunks that it doesn't list", spans=spans_ns(lost))
        if any(span.method is Method.COPIED and not span.tiles for span in evidence.spans):
            return Finding(Outcome.CHANGED, subject, "it doesn't say where copied spans come from")
        if not any(file.role is Role.FILM for file in evidence.files):
            return Finding(Outcome.CHANGED, subject, "it names no film")
        copied = sum(span.film_end_ns - span.film_start_ns for span in evidence.spans if span.method is Method.COPIED)
        whole = f"{len(evidence.spans)} spans cover it from 0:00.000 to {film_time(evidence.film.duration_ns)}"
        return Finding(Outcome.RIGHT, subject, f"{whole}, {film_time(copied)} of it copied")

    def _file(self, file: EvidenceFile) -> Finding:
        spans = self._evidence.spans
        if file.camera:
            spans = self._evidence.spans_on(file.camera, file.part)
        name = f"{file.camera}/{file.name}" if file.camera else file.name
        return self._digest(
            f"{_kind(file)} {name}", self._places.file(file), file.size_bytes, file.sha256, spans_ns(spans)
        )

    def _digest(
        self, subject: str, uri: str, size: int, sha256: str, spans: tuple[tuple[int, int], ...], etag: str = ""
    ) -> Finding:
        if not sha256:
            return Finding(Outcome.UNCHECKED, subject, "its digest was never taken", uri, spans=spans)
        try:
            found = describe_file(self._places.local(uri, etag))
        except (ThroughlineError, OSError) as error:
            return Finding(Outcome.UNCHECKED, subject, f"can't be reached: {error}", uri, sha256, "", spans)
        if found.sha256 == sha256:
            self._right.add(sha256)
            return Finding(Outcome.RIGHT, subject, "is as it was", uri, sha256, sha256, spans)
        held = self._known.get(found.sha256)
        what = f"now holds what belongs into {held}" if held else _difference(size, found.size_bytes)
        detail = f"was changed: {what}; SHA-256 is {found.sha256}, not {sha256}"
        return Finding(Outcome.CHANGED, subject, detail, uri, sha256, found.sha256, spans)

    def _searched(self) -> Iterator[Finding]:
        """Chunks of all cameras that the film doesn't show, by the accounts of their reels."""
        shown = {(source.camera, source.name) for source in self._evidence.sources}
        for file in self._evidence.files:
            if (file.role, file.name) != (Role.REEL, _ACCOUNT) or file.sha256 not in self._right:
                continue
            try:
                reel = documents.load(Reel, self._places.local(self._places.file(file)).read_bytes())
            except ThroughlineError as error:
                yield Finding(Outcome.UNCHECKED, f"{_kind(file)} {file.camera}/{file.name}", f"can't be read: {error}")
                continue
            for chunk in reel.chunks:
                if chunk.sha256 and (file.camera, chunk.name) not in shown:
                    uri = self._places.chunk(chunk.uri)
                    subject = f"chunk {file.camera}/{chunk.name}"
                    yield self._digest(subject, uri, chunk.size_bytes, chunk.sha256, (), chunk.etag)

    def _copied(self, span: SpanFacts) -> Finding:
        """Whether a copied span's pictures are the very bytes of its chunks, or where those are away, of its reel."""
        at = f"copied span {film_time(span.film_start_ns)} to {film_time(span.film_end_ns)}"
        own = ((span.film_start_ns, span.film_end_ns),)
        try:
            film = next(file for file in self._evidence.files if file.role is Role.FILM)
            origins = [self._origin(tile) for tile in span.tiles]
            if film.sha256 not in self._right or not all(origins):
                detail = "its pictures can't be compared: the film, or what it was copied from, is not there as it was"
                return Finding(Outcome.UNCHECKED, at, detail, spans=own)
            places = [place for origin in origins for found in origin.values() for place in found]
            compared = compare(self._places.local(self._places.file(film)), *own[0], places)
        except (Incomparable, ThroughlineError) as error:
            return Finding(Outcome.UNCHECKED, at, f"its pictures can't be compared: {error}", spans=own)
        where = ", ".join(name for origin in origins for name in origin)
        if compared.missing or not compared.units:
            detail = f"{compared.missing} of {compared.units} coded pictures are not those of {where}"
            return Finding(Outcome.CHANGED, at, detail, spans=own)
        return Finding(Outcome.RIGHT, at, f"{compared.units} coded pictures are, bit for bit, those of {where}")

    def _origin(self, tile: TileFacts) -> dict[str, list[Bytes]]:
        """By name, where a copied tile's pictures can be looked for; nothing where none of it is there as it was."""
        ranges = [(self._evidence.sources[each.source], each) for each in tile.bytes]
        if ranges and all(source.sha256 in self._right for source, _ in ranges):
            found: dict[str, list[Bytes]] = {}
            for source, each in ranges:
                path = self._places.local(self._places.chunk(source.uri), source.etag)
                place = Bytes(path, each.start or 0, each.end)
                found.setdefault(f"chunk {source.camera}/{source.name}", []).append(place)
            if all(holds_pictures_whole(place.path) for places in found.values() for place in places):
                return found
        for file in self._evidence.files:
            is_part = file.role is Role.REEL and (file.camera, file.part) == (tile.camera, tile.part)
            if is_part and tile.part is not None and file.sha256 in self._right:
                return {f"reel {file.camera}/{file.name}": [Bytes(self._places.local(self._places.file(file)))]}
        return {}

    def _newcomers(self) -> Iterator[Finding]:
        """Chunks in the folders of the film's cameras that the job's listing doesn't have, where the footage can be reached."""
        if not any(source.sha256 in self._right for source in self._evidence.sources):
            return
        cameras = [camera.camera for camera in self._evidence.cameras]
        for file in self._evidence.files:
            if file.role is not Role.LISTING or file.sha256 not in self._right:
                continue
            try:
                pinned = documents.load(Listing, self._places.local(self._places.file(file)).read_bytes())
                extensions = pinned.extensions or DEFAULT_EXTENSIONS
                present = list_footage(self._places.objects, self._places.footage, cameras, extensions)
            except ThroughlineError:
                return  # its chunks tell that they can't be reached
            for camera in cameras:
                listed = {chunk.name for chunk in pinned.cameras.get(camera, ())}
                new = [chunk.name for chunk in present.cameras.get(camera, ()) if chunk.name not in listed]
                if new:
                    named = f"{', '.join(new[:_NAMED])}{', ...' if len(new) > _NAMED else ''}"
                    detail = f"{len(new)} chunks were not there when the job was submitted: {named}; the film has nothing of them"
                    yield Finding(Outcome.NOTE, f"footage of {camera}", detail)


def _kind(file: EvidenceFile) -> str:
    return "film" if file.role is Role.COMPANION else file.role.value


def _difference(size: int, found: int) -> str:
    if size == found:
        return f"its {size} bytes are others"
    return f"it has {found} bytes, not {size}"
