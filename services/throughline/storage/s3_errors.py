"""What S3 and boto3 complain of, in the words of the domain's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
    InvalidInput,
    NotFound,
    PermissionDenied,
    SourceChanged,
    ThroughlineError,
)

_DENIED = {
    "AccessDenied",
    "AllAccessDisabled",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "401",
    "403",
}
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
    bucket = uri.removeprefix("s3://").partition("/")[0]
    details = error.response.get("Error", {})
    code, message = str(details.get("Code", "")), details.get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "NoSuchBucket" or (code in _MISSING and error.operation_name == "HeadBucket"):
        return NotFound(f"there is no bucket {bucket!r} for {uri}; check its name and THROUGHLINE_S3_ENDPOINT_URL")
    if code in _MISSING:
        return NotFound(f"there is no object {uri}; check its key")
    if code in _DENIED or status in (401, 403):
        return PermissionDenied(f"S3 refuses {uri} ({code}); check the credentials and the bucket's policy")
    if code in ("PreconditionFailed", "ConditionalRequestConflict", "412"):
        return _condition_failed(uri, error.operation_name)
    if status >= 500 or code in ("SlowDown", "RequestTimeout", "ThrottlingException"):
        return DependencyUnavailable(f"S3 could not serve {uri} ({code}: {message}); try again later")
    return InvalidInput(f"S3 refuses {uri} ({code}: {message})")


def _condition_failed(uri: str, operation: str) -> ThroughlineError:
    if operation in ("PutObject", "CompleteMultipartUpload"):
        return Conflict(f"there is an object {uri} already")
    return SourceChanged(f"{uri} is no longer the object that was listed; submit the job again")
