"""What is decided: who may do what, which leg serves whom, when to try again. Facts in, decisions out; time
is an argument (monotonic seconds). Nothing here knows a socket, a reactor or a file."""
