"""How events move: Faust over confluent-kafka, in micro-batches, on one thread."""
