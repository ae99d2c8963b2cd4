"""
S2: operations (`002`): one `POST /pipeline` for all that can be done, and `/webhooks`.

    routes       the route table, and the handler of `/pipeline`
    operations   what each operation takes, needs and does
    monitor      its figures
    webhooks     the handlers of `/webhooks`
    wire         bytes <-> core, pure
    events       the same, for what `ingest` brings
    parameters   what each operation takes
    models       the shapes of the rest
    envelope     `meta`, in answers and refusals
    errors       words for errors

Where the document is silent: `README.md`.
"""
