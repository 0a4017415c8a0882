"""`gotunnel doctor`: finds out why a configuration does not work, one small check per question. Changes nothing."""
