"""The configuration: YAML, read strictly into frozen models. All mistakes are reported at once. Opens no sockets."""
