"""How an operator asks a running role, and tells it what to do: a local socket, an HTTP API, health and metrics. It
knows neither role: each provides a `Face`."""
