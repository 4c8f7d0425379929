"""`asyncagg demo`: the players of a small experiment in processes of their own, and a picture of them on a terminal."""
