"""Links between players: latency, jitter, loss, bandwidth and faults, around any network.

A `LinkedNetwork` (`network`) wraps another network and makes its channels late. Each player has a `Link` (`model`). A
message waits its turn on the sender's line up, is under way for one latency, and waits its turn on the receiver's
line down; a lost segment adds the time until it is sent again. Latency, jitter and loss are those of the player that
dialled the channel; bandwidth is that of the two hosts. All of it is computed in closed form when the message is sent
or arrives, to the nanosecond, so that a test can work out on paper what a simulated round must take.

`latency` has the distributions: a uniform draw goes in, nanoseconds come out. Draws come from streams found by the
names of the two players and the purpose, so that one more player shifts nobody else's. `presets` are links with
names. A `delay_line` carries out actions in order, each at its time, and `channel` is a channel over two of them, one
a direction: it sends, delivers and ends late, and nothing ever overtakes.

`faults` are what an engine switches on and off: two groups cut off from each other, frames held back, connections
reset, a byte changed, a player slowed. Each call acts at once and returns, in words, what happened.
"""
