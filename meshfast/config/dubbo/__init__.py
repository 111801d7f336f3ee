"""Dubbo's own rule documents -> what they make of services: tag, condition, mesh and affinity rules, configurators.

They mean what the classes of Apache Dubbo for Java make of them, also where Istio's documents mean something else: a
match list is AND, nothing found is mostly everything. ``document`` and ``meshrule`` say what may be written; ``tag``,
``condition``, ``mesh``, ``affinity`` and ``configure`` make steps of it, each of which leaves some of the instances
that the one before left; ``narrow`` follows them through a cluster, and ``govern`` writes down what a service comes to.
"""
