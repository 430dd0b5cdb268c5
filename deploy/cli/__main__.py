"""`python -m deploy.cli`: the command for a process that knows its interpreter, not its PATH."""

from deploy.cli.main import main

main()
