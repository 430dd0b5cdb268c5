"""Exit status 0 when this container's /live answers 200, else 1: the images' health check."""

import http.client
import os
import sys

port = int(os.environ["HEADRACE_METRICS__PORT"])
try:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    connection.request("GET", "/live")
    answer = connection.getresponse()
    sys.exit(0 if answer.status == http.HTTPStatus.OK else answer.read().decode())
except OSError as error:
    sys.exit(f"no answer at port {port}: {error}")
