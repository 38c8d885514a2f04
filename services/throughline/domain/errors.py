"""Every error that Throughline raises on purpose.

ThroughlineError
├── InvalidInput            the caller must change the request
│   └── InvalidQuery        ... at one path of the query's JSON
├── Unauthenticated         no or unknown credential
├── PermissionDenied        known, but not allowed
├── NotFound                no such job, bucket, camera, object
├── Conflict                the same name with other content
├── FailedPrecondition      the request is well formed, but what it needs is not there
│   ├── NoUsableFootage
│   ├── QueryNotLocated
│   └── SourceArchived      an object must be restored before it can be read
├── LimitExceeded           too large, too many
├── StorageFull             a disk has no room left; a retry can help once it has
├── SourceChanged           an object is no longer what was listed
├── CorruptArtifact         what the workspace holds differs from its manifest
├── DependencyUnavailable   another service is down; a retry can help
├── DeadlineExceeded        it took too long; a retry can help
├── Cancelled               somebody asked for a stop
└── NotServed               the contract has it, this release does not

A message says what was wrong, where, and what to do next. wire/errors.py maps each class to a gRPC status and back.
"""

from __future__ import annotations


class ThroughlineError(Exception):
    """Base of all. `retryable` says whether the same call can succeed later."""

    retryable = False


class InvalidInput(ThroughlineError):
    """The caller must change the request."""


class InvalidQuery(InvalidInput):
    """The query's JSON is wrong at `path`, such as `observations[3].box`."""

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(f"query {path}: {expected}" if path else f"query: {expected}")
        self.path = path


class Unauthenticated(ThroughlineError):
    """No credential, or one that nobody gave out."""


class PermissionDenied(ThroughlineError):
    """The credential is known, but does not allow this."""


class NotFound(ThroughlineError):
    """There is no such thing."""


class Conflict(ThroughlineError):
    """The name is taken by something with other content."""


class FailedPrecondition(ThroughlineError):
    """The request is well formed, but what it needs is not there."""


class NoUsableFootage(FailedPrecondition):
    """Nothing below the prefix could be used."""


class QueryNotLocated(FailedPrecondition):
    """No track is close enough to the query."""


class LimitExceeded(ThroughlineError):
    """Too large or too many."""


class StorageFull(ThroughlineError):
    """A disk, or a quota on it, has no room left."""

    retryable = True


class SourceChanged(ThroughlineError):
    """An object is no longer the one that was listed."""


class SourceArchived(FailedPrecondition):
    """An object lies in an archive and must be restored before it can be read."""


class CorruptArtifact(ThroughlineError):
    """What the workspace holds differs from its manifest."""


class DependencyUnavailable(ThroughlineError):
    """Another service is down or out of reach."""

    retryable = True


class DeadlineExceeded(ThroughlineError):
    """It took longer than allowed."""

    retryable = True


class Cancelled(ThroughlineError):
    """Somebody asked for a stop."""


class NotServed(ThroughlineError):
    """The contract has it, this release does not."""
