"""The demonstrations: applications in three environments, or data centres, a sidecar beside each, on one machine.

Nothing is played: every application and every sidecar is a process of its own, every hop a real connection.
"""
