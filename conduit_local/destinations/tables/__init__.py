"""
Rows in a table: each batch once, because its row in a ledger is committed in the transaction of its rows.

    spec                what both kinds are told: table, ledger, form
    rows                JSON lines, a batch's or a transform's, as columns of text
    postgres            a PostgreSQL server
      postgres_server     where it is, and how it is reached: DSN, TLS, addresses that the guard has seen
      postgres_pool       connections, kept for a while
      postgres_types      DuckDB's types in PostgreSQL's words, and what else may stand in their place
      postgres_shape      whether a table has a place for the rows
      postgres_copy       rows as COPY takes them
      postgres_transaction  what is done in one, step by step
      postgres_statements all that is said to the server
      postgres_failures   what it answers, by who must act
    duckdb              a DuckDB file
      duckdb_process      the process that opens it: start, ask, end
      duckdb_child        that process's program: requests and answers
      duckdb_file         opening the file, and what goes wrong with that
      duckdb_types        which of its types come back from JSON as they were
      duckdb_table        the table and the ledger in it
"""
