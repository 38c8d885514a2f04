"""What S3 and boto3 complain of, in the words of the domain's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)

from throughline.domain.errors import (
    Conflict,
    DependencyUnavailable,
    FailedPrecondition,
    InvalidInput,
    NotFound,
    PermissionDenied,
    SourceArchived,
    SourceChanged,
    ThroughlineError,
)

_ELSEWHERE = {
    "301",
    "307",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "IncorrectEndpoint",
    "PermanentRedirect",
    "TemporaryRedirect",
}
_NOBODY = {"ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch", "TokenRefreshRequired"}
_SKEWED = "RequestTimeTooSkewed"
_BUSY = {"RequestTimeout", "SlowDown", "ThrottlingException"}
_MISSING = {"NoSuchKey", "NoSuchVersion", "NotFound", "404"}


@contextmanager
def s3_errors(uri: str) -> Iterator[None]:
    """Raise what boto3 raises within as a ThroughlineError about `uri`."""
    try:
        yield
    except ClientError as error:
        raise _from_answer(uri, error) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise PermissionDenied(f"no AWS credentials to reach {uri}; set AWS_ACCESS_KEY_ID or an AWS profile") from error
    except ParamValidationError as error:
        raise InvalidInput(f"S3 can't have {uri}: {error}") from error
    except (BotoCoreError, HTTPClientError, OSError) as error:
        raise DependencyUnavailable(
            f"S3 is out of reach for {uri}: {error}; check THROUGHLINE_S3_ENDPOINT_URL"
        ) from error


def _from_answer(uri: str, error: ClientError) -> ThroughlineError:
    """The first that fits of: what is missing, refused, passing; else the request was wrong."""
    details = error.response.get("Error", {})
    answer = _Answer(
        uri,
        str(details.get("Code", "")),
        details.get("Message", ""),
        error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0),
        error,
    )
    return _missing(answer) or _refused(answer) or _passing(answer) or _wrong(answer)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What S3 said of a request about `uri`."""

    uri: str
    code: str
    message: str
    status: int
    error: ClientError

    @property
    def bucket(self) -> str:
        return self.uri.removeprefix("s3://").partition("/")[0]

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def _missing(answer: _Answer) -> ThroughlineError | None:
    uri, operation = answer.uri, answer.error.operation_name
    if answer.code == "NoSuchBucket" or (answer.code in _MISSING and operation == "HeadBucket"):
        return NotFound(
            f"there is no bucket {answer.bucket!r} for {uri}; check its name and THROUGHLINE_S3_ENDPOINT_URL"
        )
    if answer.code in _MISSING:
        return NotFound(f"there is no object {uri}; check its key")
    if answer.code in ("PreconditionFailed", "ConditionalRequestConflict", "412", "InvalidRange"):
        if operation in ("PutObject", "CompleteMultipartUpload"):
            return Conflict(f"there is an object {uri} already")
        return SourceChanged(f"{uri} is no longer the object that was listed; submit the job again")
    if answer.code == "InvalidObjectState":
        return SourceArchived(f"{uri} lies in an archive ({answer.message}); restore it, and submit the job again")
    return None


def _refused(answer: _Answer) -> ThroughlineError | None:
    uri = answer.uri
    if answer.code in _NOBODY:
        return FailedPrecondition(f"S3 does not know the credentials of this service for {uri} ({answer}); renew them")
    if answer.code.startswith("KMS."):
        return PermissionDenied(f"S3 can't decrypt {uri} ({answer}); check the bucket's KMS key")
    if answer.status in (401, 403) and answer.code != _SKEWED:
        return PermissionDenied(
            f"S3 refuses {uri} ({answer}); check the credentials, the bucket's policy and its KMS key's"
        )
    return None


def _passing(answer: _Answer) -> ThroughlineError | None:
    uri = answer.uri
    if answer.code == _SKEWED:
        return DependencyUnavailable(
            f"S3 refuses {uri}, for this machine's clock is wrong ({answer.message}); set it by NTP"
        )
    if answer.status in (408, 429) or answer.status >= 500 or answer.code in _BUSY:
        return DependencyUnavailable(f"S3 could not serve {uri} ({answer}); try again later")
    return None


def _wrong(answer: _Answer) -> ThroughlineError:
    uri = answer.uri
    if answer.code in _ELSEWHERE:
        headers = answer.error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        region = headers.get("x-amz-bucket-region", "")
        return InvalidInput(
            f"S3 does not serve {uri} here: bucket {answer.bucket!r} lies in "
            f"{f'region {region}' if region else 'another region'}; set THROUGHLINE_S3_REGION to it"
        )
    if answer.status in (404, 405):
        return InvalidInput(
            f"what answers for {uri} does not speak S3's API ({answer.status} {answer.message}); "
            "check THROUGHLINE_S3_ENDPOINT_URL"
        )
    return InvalidInput(f"S3 refuses {uri} ({answer})")
