"""What mappings and clients have carried in the past, in an embedded SQLite file: written beside the reactor, read for
the admin API and for `gotunnel usage`. It knows neither role: each shows itself as a face."""
