"""
Where routes land events. One component a file; `kinds.py` names them.

    kinds    all of them, and how one is made
    means    what they are made with

    files    local files: temp, fsync, rename, fsync of the folder
    s3/      objects in a bucket: the same key and bytes again, and never over another object
    http     a POST a batch, with an id that a receiver can tell repeats by
    conduit  another conduit-local, which takes each batch once
    tables/  rows in PostgreSQL, or in a DuckDB file: a ledger in the transaction of the rows
    absent   a connector that is not here, and the like: says so, and lands nothing

    objects  what the kinds of objects are told: form, compression, partition
    posting  what http and conduit share: the POST, and what an answer means for the batch
"""
