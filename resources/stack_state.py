"""What the local stack says about itself: `<home>/stack.json`, mode 600, written by `telecom up`.

Belongs here: the shape of that file and how it is read. The stack that writes it is `telecom_assets.local_stack`.
A server that is not up has no entry.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from resources.expected_errors import ExpectedError


class KafkaState(BaseModel):
    """Where the local broker listens. `options` are librdkafka options (security protocol, credentials)."""

    bootstrap_servers: str
    options: dict[str, Any] = Field(default_factory=dict)


class PostgresState(BaseModel):
    """Where the local PostgreSQL listens. `database` holds customers and bills, `dagster_database` Dagster's storage."""

    host: str
    port: int
    user: str
    password: str = Field(repr=False)
    database: str
    dagster_database: str

    def url(self, database: str | None = None) -> str:
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{database or self.database}"


class SparkState(BaseModel):
    """Address of the local Spark Connect server, token included."""

    remote: str = Field(repr=False)


class StackState(BaseModel):
    """The servers of the local stack that are up."""

    kafka: KafkaState | None = None
    postgres: PostgresState | None = None
    spark: SparkState | None = None


class StackStateError(ExpectedError):
    """The state file cannot be read."""


def read_stack_state(path: Path | str) -> StackState:
    """Read the state file; a missing file is an empty stack. Raises StackStateError when the file is damaged."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return StackState()
    except OSError as error:
        raise StackStateError(
            f"{path}: cannot be read ({error.strerror}); expected the local stack's own file"
        ) from error
    try:
        return StackState.model_validate(json.loads(text))
    except (json.JSONDecodeError, ValidationError) as error:
        raise StackStateError(
            f"{path}: not a stack state; run `telecom down`, then `telecom up` to write it anew"
        ) from error
