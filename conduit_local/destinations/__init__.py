"""
Where routes land events. One component a file; `kinds.py` names them.

    files    local files: temp, fsync, rename, fsync of the folder
"""
