"""The local stack: a real Kafka, a real Valkey and a real Triton on loopback."""
