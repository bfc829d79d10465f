"""The record types in force, and what follows from all of them together.

Belongs here: the list of this project's record types (a new one is a file beside this one and a word in the list), and
what admission, tables and rules ask of all of them. `build_defs(record_types=…)` takes others.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from telecom_assets.record_types.data import DATA
from telecom_assets.record_types.record_type import COMMON_FIELDS, Quantity, RecordType, RecordTypeError
from telecom_assets.record_types.sms import SMS
from telecom_assets.record_types.voice import VOICE


@dataclass(frozen=True)
class RecordTypes:
    """Some record types, in the order in which their fields become columns. Raises RecordTypeError where two contradict each other."""

    types: tuple[RecordType, ...]

    def __init__(self, types: Iterable[RecordType]) -> None:
        object.__setattr__(self, "types", tuple(types))
        if problem := self._problem():
            raise RecordTypeError(problem)

    def __iter__(self) -> Iterator[RecordType]:
        return iter(self.types)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.name for each in self)

    @property
    def in_words(self) -> str:
        """Their names for people: voice, sms or data."""
        *first, last = self.names
        return f"{', '.join(first)} or {last}" if first else last

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the input contract, as they are named in a message, each once."""
        return tuple(dict.fromkeys((*COMMON_FIELDS, *(name for each in self for name in each.fields))))

    @property
    def own_fields(self) -> tuple[str, ...]:
        """The fields of the input contract that not every record has."""
        return self.fields[len(COMMON_FIELDS) :]

    @property
    def quantities(self) -> Mapping[str, Quantity]:
        """Every quantity by its field."""
        return {quantity.field: quantity for each in self for quantity in each.quantities}

    @property
    def forgiven_fields(self) -> tuple[str, ...]:
        """Fields that a record can do without: a value that cannot be read counts as missing, and does not reject the record.

        The record id is one of them: a record without an id is rejected by mediation (`missing_record_id`), not for its bad value.
        """
        unjudged = (quantity.field for quantity in self.quantities.values() if not quantity.judged)
        parties = (each.other_party for each in self if each.other_party)
        return tuple(dict.fromkeys(("record_ID", "cell_id", "technology", *parties, *unjudged)))

    @property
    def made_products(self) -> Mapping[str, str]:
        """The products that mediation makes, with the record type (the service) of each."""
        return {product: each.name for each in self for product in each.made_products}

    @property
    def imputed(self) -> tuple[RecordType, Quantity] | None:
        """The record type whose quantity may be imputed, with that quantity; None where there is none."""
        return next(((each, quantity) for each in self for quantity in each.quantities if quantity.imputed), None)

    def counted_in(self, unit: str) -> tuple[str, ...]:
        """Names of those whose events are charged by this unit of the catalogue."""
        return tuple(each.name for each in self if each.units.name == unit)

    def _problem(self) -> str | None:
        if not self.types:
            return "no record types are given; expected one at least"
        if len(set(self.names)) < len(self.types):
            return f"record types {', '.join(self.names)}: a name stands twice; expected different ones"
        roles: dict[str, object] = {}
        for each in self:
            for name, role in _roles(each).items():
                if roles.setdefault(name, role) != role:
                    return (
                        f"record type {each.name!r}: field {name} is another thing in a record type before it; expected one "
                        "and the same in all, since it is one column"
                    )
        if sum(quantity.imputed for each in self for quantity in each.quantities) > 1:
            return "two record types have a quantity that is imputed; expected one at most: a month knows one smallest volume"
        return None


def _roles(record_type: RecordType) -> dict[str, object]:
    """What each field of a record type is."""
    roles: dict[str, object] = {record_type.subscriber: "subscriber"}
    if record_type.other_party:
        roles[record_type.other_party] = "other party"
    if record_type.product_field:
        roles[record_type.product_field] = "product"
    return roles | {quantity.field: quantity for quantity in record_type.quantities}


#: The record types of this project.
RECORD_TYPES = RecordTypes((VOICE, SMS, DATA))
