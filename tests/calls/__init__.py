"""Callers that compare every answer with its question, through a real ``meshfast proxy``."""
