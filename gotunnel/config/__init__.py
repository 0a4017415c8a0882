"""The configuration: YAML read strictly into frozen models, with every mistake named at once. Opens no
socket."""
