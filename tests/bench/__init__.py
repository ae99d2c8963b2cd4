"""
The benchmark: figures as ratios within one run, since machines are noisy.

`bodies` what is sent · `load` who sends it · `bare` the yardstick · `measures` each figure · `__main__` the table
"""
