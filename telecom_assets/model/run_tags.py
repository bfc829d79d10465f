"""Tags of Dagster's runs that the project reads and writes, by the texts that Dagster documents.

Belongs here: tags that are Dagster's own. Dagster exports no constants for them; a test compares each with Dagster's. Does not
belong here: tags of the project's (`sensors.tries`, `month_run`, …).
"""

#: The day or the month of a run.
PARTITION_NAME_TAG = "dagster/partition"
#: First and last day of a run over a range of days.
ASSET_PARTITION_RANGE_START_TAG = "dagster/asset_partition_range_start"
ASSET_PARTITION_RANGE_END_TAG = "dagster/asset_partition_range_end"
#: The key by which a sensor or a schedule asked for the run.
RUN_KEY_TAG = "dagster/run_key"
#: The sensor that asked for the run.
SENSOR_NAME_TAG = "dagster/sensor_name"
#: A tag whose name begins so is kept, and not shown in the UI.
HIDDEN_TAG_PREFIX = ".dagster/"
