"""Commands that talk to a running role through its admin socket."""
