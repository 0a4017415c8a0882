"""Commands that talk to a role that runs, through its admin socket."""
