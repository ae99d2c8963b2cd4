"""
S0: the events API (`000`), `/v1/events` and `/v1/pipelines`.

Where the document is silent: `GET /v1/events/{event_id}` shows the payload and what became of the event;
`POST`, `PATCH` and the list of pipelines follow the shapes that it shows for one. A pipeline that is stopped reads
`paused`: the document knows three states, and both keep their events. `pipeline_id` may be the public id, the UUID or
the name, and is echoed as it was sent. A limit out of range is a 400, not a silent cut.
"""
