"""How every asset of the project is declared, in one place.

Belongs here: owners, groups, kinds, and the metadata that all definitions and materialisations share.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import dagster as dg

from resources.contract import TableContract
from resources.warehouse import PinnedTable
from telecom_assets.lineage.failures import with_expected_failures

LANDING_POOL = "landing"
SPARK_POOL = "spark"
MAINTENANCE_POOL = "maintenance"

#: Placeholder among the kinds of an asset that the engine makes. `with_engine` puts the name of the configured engine there.
ENGINE_KIND = "engine"

MEDIATION_TEAM = "team:mediation"
RATING_TEAM = "team:rating"
BILLING_TEAM = "team:billing"
PLATFORM_TEAM = "team:platform"

#: What an asset returns that has written its output itself. Dagster (1.13) knows it by the bare class alone; it takes what stands in
#: the brackets for the type of a value.
if TYPE_CHECKING:
    Materialized: TypeAlias = dg.MaterializeResult[None]
else:
    Materialized = dg.MaterializeResult


def asset(**properties: Any) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`dg.asset` of the project: its expected errors become failures with a sentence (`telecom_assets.lineage.failures`)."""

    def decorate(body: Callable[..., Any]) -> dg.AssetsDefinition:
        definition: dg.AssetsDefinition = dg.asset(**properties)(with_expected_failures(body))
        return definition

    return decorate


def multi_asset(**properties: Any) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`dg.multi_asset` of the project: its expected errors become failures with a sentence."""

    def decorate(body: Callable[..., Any]) -> dg.AssetsDefinition:
        return dg.multi_asset(**properties)(with_expected_failures(body))

    return decorate


def column_schema(contract: TableContract) -> dg.TableSchema:
    """The contract as the UI shows it."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.type,
                description=column.doc,
                constraints=dg.TableColumnConstraints(nullable=not column.required),
            )
            for column in contract.columns
        ]
    )


def table_metadata(contract: TableContract) -> dict[str, Any]:
    """Definition metadata of a table asset."""
    metadata: dict[str, Any] = {"dagster/column_schema": column_schema(contract), "dagster/table_name": contract.name}
    if contract.partition_by:
        metadata["partition_expr"] = contract.partition_by
    return metadata


def table_out(
    contract: TableContract,
    group: str,
    owner: str,
    description: str = "",
    automation: dg.AutomationCondition[dg.AssetKey | dg.AssetCheckKey] | None = None,
) -> dg.AssetOut:
    """One table of a multi-asset."""
    return dg.AssetOut(
        description=f"{description} {contract.grain}".strip(),
        group_name=group,
        owners=[owner],
        kinds={"delta", ENGINE_KIND},
        metadata=table_metadata(contract),
        dagster_type=dg.Any,
        automation_condition=automation,
    )


def with_engine(spec: dg.AssetSpec, engine: str) -> dg.AssetSpec:
    """The asset with the engine that makes it among its kinds: `sail` (embedded) or `spark` (Apache Spark)."""
    if ENGINE_KIND not in spec.kinds:
        return spec
    return spec.replace_attributes(kinds={*spec.kinds, engine} - {ENGINE_KIND})


def with_columns(spec: dg.AssetSpec, tables: Mapping[str, TableContract]) -> dg.AssetSpec:
    """The asset with the columns that its table has in this warehouse: those of raw_cdrs follow the record types in force."""
    contract = tables.get(spec.key.path[-1])
    if contract is None or "dagster/column_schema" not in spec.metadata:
        return spec
    return spec.replace_attributes(metadata={**spec.metadata, "dagster/column_schema": column_schema(contract)})


def versions_read(*tables: PinnedTable) -> dict[str, Any]:
    """Materialisation metadata: which version of each input was read."""
    return {f"read/{table.name}": table.version for table in tables}


def versions_asserted(*tables: PinnedTable) -> dict[str, Any]:
    """Materialisation metadata: versions of tables that were read only to check that the asset may be made."""
    return {f"asserted/{table.name}": table.version for table in tables}


#: Prefix of metadata that the commit of an output is to say of itself.
_COMMIT_SAYS = "commit/"


def commit_says(said: Mapping[str, Any]) -> dict[str, Any]:
    """Materialisation metadata: what the commit of the output says of itself too, for whoever reads the log (JSON values by key)."""
    return {f"{_COMMIT_SAYS}{key}": dg.MetadataValue.json(value) for key, value in said.items()}


def said_of_commit(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `commit_says` among the metadata of an output."""
    values = {key: getattr(value, "value", value) for key, value in metadata.items() if key.startswith(_COMMIT_SAYS)}
    return {key.removeprefix(_COMMIT_SAYS): value for key, value in values.items()}


def as_metadata(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figures as metadata: integers stay numbers, amounts stay exact text."""
    return {
        name: value if isinstance(value, int) else dg.MetadataValue.text(str(value)) for name, value in figures.items()
    }
