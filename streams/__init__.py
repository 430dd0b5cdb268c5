"""How events move: topics, records, the Faust transport over confluent-kafka, agents, reference pipelines."""
