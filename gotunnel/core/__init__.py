"""Decisions as pure code: who may do what, which leg serves which visitor, when to retry.

Facts are passed in and decisions come out; time is an argument (monotonic seconds). Nothing here uses sockets, a
reactor or files.
"""
