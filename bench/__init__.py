"""`make bench`: how fast and how lean the project is, beside a hand-written DuckDB script and the raw limits.

    make bench CDRS=1000000 ENGINE=sail         # pipeline, duckdb, limits, changed-day, nothing-new, startup
    python -m bench --cdrs 10000000 --cases pipeline,duckdb --repeats 5 --name sail-10m

Data are made once and kept under `.bench/` (BENCH_HOME). Every repetition is a fresh process that starts from the same
restored state; the median is reported. `bench/results/<name>.json` holds every repetition, the table beside it
is for people. Nothing here is part of the installed package, and nothing is timed in the test suite.

    cli, bench_run          arguments, order of the cases, exit status; what every case gets
    cases/                  one module per case
    dataset                 the CDRs, the customers, the topic: made once
    homes, workplace        states of a home folder (empty, landed, billed, …), saved and restored
    stage                   what runs in the fresh process: the project's own jobs and checks, as `telecom run` runs them
    processes               starting it, sampling CPU and memory of all its processes
    project_runs, figures   from times, samples and files to figures per stage
    duckdb_pipeline, duckdb_sql/, duckdb_runs, compare
                            the opponent, and the proof that it makes the same tables
    limits                  the bare consumer and the bare JSON parser
    old_table               a table with many commits
    ratios, report, machine ratios of the figures, the printed result, the machine of the measurement
"""
