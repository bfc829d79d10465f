"""The webhook of TELECOM_FAILURE_WEBHOOK: one JSON document a POST.

Belongs here: sending, trying again, and keeping the address secret. Does not belong here: what is sent, and when.
"""

from collections.abc import Mapping
from typing import Any

from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

_TIMEOUT_SECONDS = 10


class WebhookError(Exception):
    """The webhook did not accept a message. The error hides its address: with many services, knowing it is enough to write."""


@retry(
    retry=retry_if_exception_type(WebhookError),
    stop=stop_after_attempt(3),
    wait=wait_exponential(multiplier=0.5, max=5),
    reraise=True,
)
def post(webhook: str, message: Mapping[str, Any], about: str) -> None:
    """Send a message. about: its subject, for the WebhookError that is raised when it cannot be sent."""
    # Raised outside of the handler: else the error of requests, which shows the address, would be printed as its cause.
    if (refusal := _refusal(webhook, message)) is not None:
        raise WebhookError(f"the webhook of TELECOM_FAILURE_WEBHOOK {refusal}; {about} was not told of")


def _refusal(webhook: str, message: Mapping[str, Any]) -> str | None:
    """Send once. Returns the reason of a failure without the address; None after success."""
    import requests  # noqa: PLC0415  (a tenth of the time that the code takes to load)

    try:
        response = requests.post(webhook, json=message, timeout=_TIMEOUT_SECONDS)
    except (OSError, ValueError) as error:  # every RequestException is an OSError; some bad addresses raise ValueError
        return f"cannot be reached ({type(error).__name__})"
    return None if response.ok else f"answered {response.status_code}"
