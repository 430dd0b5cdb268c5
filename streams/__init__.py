"""How events move: topics, records, the Faust transport, agents, reference pipelines."""
