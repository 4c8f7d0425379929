"""What people look at, made from what a run leaves: sentences and the page. Nothing here runs anything.

`longest` says what took the time of a round.
"""
