"""`python -m conduit_local`."""

from conduit_local.cli.main import main

main()
