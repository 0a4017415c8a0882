"""What mappings and clients have carried in the past, in an embedded SQLite file: written outside the reactor, read by
the admin API and by `gotunnel usage`. It knows neither role: each shows itself as a face."""
