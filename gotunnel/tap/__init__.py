"""The two roles as services of `twistd` and `twist`. Decides nothing about tunnels."""
