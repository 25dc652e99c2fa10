"""Subscribes to everything at argv[1] and prints each event on a line of its own."""

import sys

import zmq

socket = zmq.Context().socket(zmq.SUB)
socket.connect("tcp://" + sys.argv[1])
socket.setsockopt(zmq.SUBSCRIBE, b"")
while True:
    frames = socket.recv_multipart()
    assert len(frames) == 1, frames
    print(frames[0].decode(), flush=True)
