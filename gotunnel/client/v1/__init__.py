"""This client on a Go server: version 1 of the protocol, spoken only where the configuration says so."""
