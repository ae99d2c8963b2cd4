"""
Settings and pipeline files.

    documents   YAML with the line of every field
    settings    `conduit-local.yaml`, environment, flags; with where each value was set
    files       `pipelines/*.yaml`: read whole, problems with file and line
    cases       the `tests` of a pipeline file: what they may say, and whether it came true
    trying      a pipeline's transforms on sample events, without an appliance
    apply       the difference between the files and the engine, applied
    first_key   the API key that is there from the first start on
    watch       reload when files change
    schema      JSON Schema of both
"""
