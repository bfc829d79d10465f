"""The options with which a person changes reference rows of periods that are approved or closed.

Belongs here: `--correct-past`, `--by`, `--why`, that they come together, and what is said to follow. What is refused without them is in
`telecom_assets.reference.past`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from telecom_assets.model.stretches import Stretch, stretch_of_key, without

if TYPE_CHECKING:  # imported where it is used, so that `telecom --help` does not wait for the engine's client
    from telecom_assets.cli.context import AppContext
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


def what_follows(app: "AppContext", changed: Sequence[Stretch]) -> str:
    """What becomes of days on which other rows are in force than before, in words.

    Open ones are rated again. Those of approved and closed periods are corrected, unless they are too long ago.
    """
    from telecom_assets.corrections.looking_back import corrected_periods  # noqa: PLC0415
    from telecom_assets.periods.journal import read_periods  # noqa: PLC0415

    periods, back = read_periods(app.deployment.warehouse), app.settings.adjustment_months
    frozen = [month for month in periods.frozen if any(stretch_of_key(month).meets(each) for each in changed)]
    if not frozen:
        return "telecom run rates these days again."
    looked_at = corrected_periods(periods, periods.corrects or "", back)
    stay = [month for month in frozen if month in periods.closed and month not in looked_at]
    corrected = [month for month in frozen if month not in stay]
    said = []
    if corrected:
        said.append(f"The differences of {', '.join(corrected)} come on a later bill.")
    if stay:
        said.append(f"{', '.join(stay)}: too long ago to be corrected (TELECOM_ADJUSTMENT_MONTHS is {back}).")
    if left := without(changed, map(stretch_of_key, frozen)):
        said.append(f"telecom run rates the other days again: {', '.join(map(str, left))}.")
    return " ".join(said)
