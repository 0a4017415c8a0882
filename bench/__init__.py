"""Measures what a tunnel costs: its own CPU and memory, beside other tunnels in one run. `python -m bench --help`.

Not part of the installed package. Everything happens on the loopback network of one Linux machine.
"""
