"""What the commands of `python -m asyncagg.testing` do and print."""
