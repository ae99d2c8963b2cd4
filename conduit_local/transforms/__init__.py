"""
What happens to events between the log and a destination. One component a file; `kinds.py` names them.

    sql       a query over the table `events`
    filter    keeps the events that meet a condition
    select    takes columns, and fields out of the payload
    rename    gives columns other names
    mask      covers what should not be seen

All of them compile to SQL (`compile.py`, `paths.py`), which DuckDB runs in a child process; in others it writes
Parquet:

    running   `SqlTransforms`: checks and applies recipes
    encoding  `ParquetEncoder`: objects that DuckDB writes
    lanes     whom a query may hold up: standing of pipelines, the children of each lane
    process   one child: start, ask, end
    content   the rows of a batch, in a scratch file
    scratch   the folder of such files
    child/    the child's program; the only code that imports DuckDB
"""
