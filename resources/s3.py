"""A warehouse on S3 or a server that speaks its protocol: what each of its clients must be told, and one clear first error.

Belongs here: the options of delta-rs, of the embedded engine and of Hadoop's S3A, from one description; the check that
endpoint, credentials and bucket are right. Does not belong here: tables (`resources.warehouse`), where the options come from.

One client alone writes the log, delta-rs, and puts a commit only where nothing is (`If-None-Match: *`): none takes the
place of another. The engines write plain files.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

#: A region must be named where the server does not care.
_ANY_REGION = "us-east-1"
#: For the first question alone: an address that is wrong is to be told soon. Afterwards the clients' own patience holds.
_IMPATIENT = {"max_retries": "1", "retry_timeout": "5s", "connect_timeout": "5s", "timeout": "15s"}


class S3Error(Exception):
    """The bucket cannot be used. The message names it, the endpoint, the reason and what to do."""


def is_s3(root: str) -> bool:
    return root.startswith(("s3://", "s3a://"))


def hadoop_path(path: str) -> str:
    """The path as Hadoop's S3 client is asked for it: `s3://` is no scheme of its own."""
    return path.replace("s3://", "s3a://", 1) if path.startswith("s3://") else path


@dataclass(frozen=True)
class S3Storage:
    """Where the buckets are and who asks. What is None is found as the clients find it: AWS, the machine's own role."""

    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)

    def environment(self) -> dict[str, str]:
        """The variables from which the embedded engine and the JVM's credential chain read the same."""
        named = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": self.region or (_ANY_REGION if self.endpoint else None),
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_SESSION_TOKEN": self.session_token,
            "AWS_ALLOW_HTTP": "true" if self._plain else None,
        }
        return {name: value for name, value in named.items() if value is not None}

    def delta_options(self) -> dict[str, str]:
        """`storage_options` of delta-rs."""
        return {
            **self.environment(),
            "AWS_CONDITIONAL_PUT": "etag",
            # Whoever has set this in the environment has asked for commits that may take the place of others.
            "AWS_S3_ALLOW_UNSAFE_RENAME": "false",
        }

    def hadoop_properties(self) -> dict[str, str]:
        """Properties of S3A, without the credentials: it finds those in its environment."""
        if self.endpoint is None:
            return {"fs.s3a.endpoint.region": self.region} if self.region else {}
        return {
            "fs.s3a.endpoint": self.endpoint,
            "fs.s3a.endpoint.region": self.region or _ANY_REGION,
            "fs.s3a.path.style.access": "true",
            "fs.s3a.connection.ssl.enabled": str(not self._plain).lower(),
        }

    def export(self) -> None:
        """Tell the embedded engine, which asks the environment of its process."""
        os.environ.update(self.environment())

    def check(self, root: str) -> None:
        """List the root. Raises S3Error when endpoint, credentials or bucket are wrong."""
        import pyarrow.fs as pafs  # noqa: PLC0415  (settings know this module, and are read by every command)
        from deltalake.fs import DeltaStorageHandler  # noqa: PLC0415

        bucket = root.split("://", 1)[1].split("/", 1)[0]
        where = f"bucket {bucket!r} at {self.endpoint or 'AWS S3'}"
        try:
            files = pafs.PyFileSystem(DeltaStorageHandler(root, options={**self.delta_options(), **_IMPATIENT}))
            files.get_file_info(pafs.FileSelector("", allow_not_found=True))
        except OSError as error:
            raise S3Error(f"{where}: {_reason(str(error))}") from error

    @property
    def _plain(self) -> bool:
        return (self.endpoint or "").startswith("http://")


#: What a failed request says somewhere in its text, and what that means.
_REASONS: Mapping[str, str] = {
    "169.254.169.254": "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role",
    "NoSuchBucket": "there is no such bucket; make it, or correct TELECOM_WAREHOUSE",
    "InvalidAccessKeyId": "the access key is not known there; correct AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret does not belong to the access key; correct AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "the credentials have expired; renew AWS_SESSION_TOKEN and what belongs to it",
    "incorrectly configured region": "the bucket is in another region; set AWS_REGION to it",
    "AuthorizationHeaderMalformed": "the bucket is in another region; set AWS_REGION to it",
    "AccessDenied": "these credentials may not list it; correct AWS_ACCESS_KEY_ID, or ask for the right to",
    "403 Forbidden": "these credentials are refused; correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "error sending request": "the endpoint does not answer; correct AWS_ENDPOINT_URL, or start the server",
}


#: Colours, and the arrows between a cause and the next.
_DECORATION = re.compile(r"\x1b\[[0-9;]*m|↳")


def _reason(text: str) -> str:
    for sign, meaning in _REASONS.items():
        if sign in text:
            return meaning
    plain = " ".join(_DECORATION.sub("", text).split())
    return f"cannot be listed ({plain[:300]}); check AWS_ENDPOINT_URL and the bucket"
