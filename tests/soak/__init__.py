"""Hours of mixed load in minutes: does memory stay flat, do descriptors come back, is every call answered?"""
