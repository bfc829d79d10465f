from telecom_assets_tests.graph.conftest import *
from telecom_assets_tests.graph.test_month import *


def test_dbg(new_project, spark_remote):
    sail = new_project()
    spark = new_project(engine="spark", spark_remote=spark_remote, kafka_topic=sail.settings.kafka_topic)
    sail.produce([*generated_cdrs()[:300], *sessions_without_volume()])
    for p in (sail, spark):
        p.store_customers(customers())
        p.open_month()
        r=p.runner()
        for x in p.run_month(): print(x.step.job, x.step.label, round(x.seconds,1), len(x.checks))
    import time; t=time.time()
    print(len([r.project for r in ()]))
