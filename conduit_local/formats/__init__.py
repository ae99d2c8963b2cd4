"""
How events become the bytes of an object; the same events give the same bytes. And how people write a configuration.

    jsonl        envelope lines, or the payloads alone
    compression  none, gzip, zstd
    yaml_text    YAML to plain values, strictly
"""
