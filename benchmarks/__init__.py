"""Benchmarks: `python -m benchmarks [name…]` runs them and prints one table.

A benchmark is a module of this package with a `main() -> list[Row]`. Absolute figures move with the machine,
so every figure comes with its ratio to a limit or a peer that was measured in the same run (see `table.Row`).
"""
