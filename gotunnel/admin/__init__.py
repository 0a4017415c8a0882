"""How an operator asks a role that runs, and tells it what to do: a local socket, an HTTP API, health and metrics. It
knows neither role: each shows itself as a `Face`."""
