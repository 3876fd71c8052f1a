"""The live picture: the only mutable state of the service.

One thread and one event loop run everything, and no function in here awaits. So every change
is atomic as it stands, a request sees all events applied before it and none half-applied, and no
lock is needed.
"""
