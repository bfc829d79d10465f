"""The options with which a person changes reference rows of periods that are approved or closed.

Belongs here: `--correct-past`, `--by`, `--why`, and that they come together. What is refused without them is in
`telecom_assets.reference.past`.
"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:  # imported where it is used, so that `telecom --help` does not wait for the engine's client
    from telecom_assets.reference.change_log import Origin

CorrectPast = Annotated[
    bool,
    typer.Option(
        "--correct-past",
        help="Store it although it changes periods that are approved or closed: the differences come on a later bill. With --by and "
        "--why.",
    ),
]
By = Annotated[str | None, typer.Option("--by", help="Who decides; kept in reference_changes.")]
Why = Annotated[str | None, typer.Option("--why", help="Why; kept in reference_changes.")]


def origin_of(source: str, *, correct_past: bool, by: str | None, why: str | None) -> "Origin":
    """Where a change comes from: the source, and what these options say."""
    from telecom_assets.reference.change_log import Origin  # noqa: PLC0415

    said = reason_given(correct_past=correct_past, by=by, why=why)
    return Origin(source, said["by"] or None, said["why"] or None, corrects_past=correct_past)


def reason_given(*, correct_past: bool, by: str | None, why: str | None) -> dict[str, Any]:
    """The options as the configuration of a job. Raises BadParameter for `--correct-past` without a name or a reason."""
    by, why = (by or "").strip(), (why or "").strip()
    if correct_past and not (by and why):
        raise typer.BadParameter("--correct-past needs --by NAME and --why REASON: both are kept in reference_changes")
    return {"correct_past": correct_past, "by": by, "why": why}
