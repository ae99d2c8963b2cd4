"""
Where events come from besides the HTTP APIs. One component a file; `kinds.py` names them.

`push` is all there is in this version, beside the name of a connector that is not here. Pull sources (files, http,
fixture) belong here: each reads something and appends to the same log, its cursor committed with the events it brought.
"""
