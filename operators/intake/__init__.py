"""How examinations reach the platform unattended: from a queue or a watched folder, at least once in, exactly one case out.

::

    edge.upload -> store -> Lambda -> queue -->  arrivals -> admission -> one case, one DAG run
    edge.upload -> watched folder  ----------->
"""
