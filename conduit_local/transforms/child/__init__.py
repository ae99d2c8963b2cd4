"""
The program of the children that run people's SQL or write Parquet: the only code that imports DuckDB.

    program       reads requests, writes answers, bounds itself
    tables        `events`, from step to step, in a database of its own
    inspection    what a query may name and call
    lines         rows as JSON lines
    parquet       rows as Parquet
    exact         JSON functions that leave numbers as they were written
    failures      what went wrong, in words for the parent

It is a process of its own because nothing inside DuckDB holds a query back for sure: `memory_limit` was passed by
`repeat('x', 4e9)`, the time limit by `list_sort(range(3e8))`. In here the operating system bounds memory and the size
of files; the parent bounds the time, by killing it.
"""
