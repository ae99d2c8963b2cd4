"""
Where routes land events. One component a file; `kinds.py` names them.

    files    local files: temp, fsync, rename, fsync of the folder
    http     a POST a batch, with an id that a receiver can tell repeats by
    conduit  another conduit-local, which takes each batch once
    tables/  rows in PostgreSQL, or in a DuckDB file: a ledger in the transaction of the rows
"""
