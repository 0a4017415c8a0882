"""`gotunnel doctor`: finds out why a configuration does not work, with one small check per question. Changes
nothing."""
