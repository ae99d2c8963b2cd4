"""
Objects in a bucket.

    spec         its settings, and what of them an API may not ask for
    destination  what the engine is given; how each batch lands once
    uploads      an object into the bucket, in one request or in parts
    bucket       what is asked of the bucket: a method an operation of S3
    client       botocore's client, which words and signs the requests
    credentials  whose keys sign: the settings', the environment's, a profile's
    sending      the requests over sockets of ours, to addresses that the guard has seen
    names        the addresses of a host, for a thread and no longer than it waits
    failures     what servers and the network answer, and who must act
    probe        what `destinations test` tries
"""
