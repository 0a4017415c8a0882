"""Tests of the roles under twistd and twist."""
