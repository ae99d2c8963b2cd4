"""
How events become the bytes of an object; the same events give the same bytes.

    jsonl        envelope lines, or the payloads alone
    compression  none, gzip, zstd
"""
