"""Tests of bench/: its arithmetic, its pictures, and one run of everything in a few seconds."""
