"""The whole graph through Dagster, with the real Kafka and PostgreSQL: months, checks, sensors, instance, commands."""
