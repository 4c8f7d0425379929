"""The event loop of the simulator: asyncio on a clock that no hardware drives.

`loop` is an asyncio event loop whose time is an integer number of nanoseconds. While anything can run, time stands
still; when nothing can, it jumps to the next timer. So an hour of simulated network takes as long as its callbacks,
and what happens is a function of the program alone: timers that are due run in the order in which they were set, then
everything they made ready, first in first out. asyncio's own timeouts, queues, locks and task groups work on it.

Whatever would let real time in is refused by name (`refused_calls`): threads, sockets, signals and processes. The
loop also says what a program has done wrong (`errors`). When something is awaited and nothing is left that could
bring it about, that is a deadlock, and its error names every task that waits and where; when one instant takes more
steps than the loop allows, that is a livelock, and its error names who goes on.

The engine `sim` runs on it, and so do most tests. Nothing else imports it: `net.clock` knows loops that count in
nanoseconds by a base class, and code that asks it for the time works on any loop.
"""
