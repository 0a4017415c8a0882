"""What an operator reads in his own language. Everything else says things in English: formats of log lines are
constant, and sentences reach this package as they were raised. Imports no more of gotunnel than its errors."""
