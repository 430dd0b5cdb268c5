"""Where the logs live while events stream: a port, a memory adapter, and Redis or Valkey."""
