"""
How events become the bytes of an object; the same events give the same bytes. And how people write a configuration.

    jsonl        envelope lines, or the payloads alone
    csv_text     a header, and a row a line
    compression  none, gzip, zstd
    objects      which of these, or Parquet, which an `Encoder` makes
    yaml_text    YAML to plain values, strictly

And how files become records again, piece by piece, in little memory:

    pieces         what the readers have in common: where one goes on, what is passed over
    json_lines     an object a line
    json_document  an array of objects, or one object
    csv_rows       a header, and a record a row
"""
