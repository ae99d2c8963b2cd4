"""
What happens to events between the log and a destination. One component a file; `kinds.py` names them.

There is none in this version; SQL, filter, select, rename and mask belong here.
"""
