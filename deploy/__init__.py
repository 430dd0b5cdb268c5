"""How it runs: settings, composition root, command line, local stack, reports."""
